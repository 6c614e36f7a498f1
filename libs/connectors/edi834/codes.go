package edi834

import (
	"slices"
	"strings"
)

// Code lists of the guide that an element is checked against.
var (
	lineCodes         = words("AG AH AJ AK DCP DEN EPO FAC HE HLT HMO LTC LTD MM MOD PDG POS PPO PRA STD UR VIS")
	tierCodes         = words("CHD DEP E1D E2D E3D E5D E6D E7D E8D E9D ECH EMP ESP FAM IND SPC SPO TWO")
	relationshipCodes = words("01 03 04 05 06 07 08 09 10 11 12 13 14 15 16 17 18 19 23 24 25 26 31 33 38 48 49 53 60 D2 G8 G9")
	reasonCodes       = words("01 02 03 04 05 06 07 08 09 10 11 14 15 16 17 18 20 21 22 25 26 27 28 29 31 32 33 37 38 39 40 41 43 59 AA AB AC AD AE AF AG AH AI AJ AL EC XN XT")
	clientRefs        = words("17 23 3H 4A 6O ABB D3 DX F6 P5 QQ ZZ")
	zoneCodes         = words("AD AS AT CD CS CT ED ES ET GM HD HS HT LT MD MS MT ND NS NT PD PS PT TD TS TT UT")
	states            = words("AA AE AK AL AP AR AS AZ CA CO CT DC DE FL FM GA GU HI IA ID IL IN KS KY LA MA MD ME MH MI MN MO MP MS MT NC ND NE NH NJ NM NV NY OH OK OR PA PR PW RI SC SD TN TX UT VA VI VT WA WI WV WY")
	provinces         = words("AB BC MB NB NL NS NT NU ON PE QC SK YT")
)

// tiered are the lines that have a tier.
var tiered = words("DEN EPO HLT HMO PDG POS PPO VIS")

func words(s string) []string { return strings.Fields(s) }

func known(list []string, code string) bool { return slices.Contains(list, code) }

// Maps that a company's settings are laid over.
var (
	tiers = map[string]string{
		"employee": "EMP", "employee_spouse": "ESP", "employee_partner": "ESP", "employee_children": "ECH",
		"family": "FAM", "spouse": "SPO", "children": "CHD", "spouse_children": "SPC",
	}
	relationships = map[string]string{
		"spouse": "01", "child": "19", "partner": "53", "domestic_partner": "53", "stepchild": "17",
		"adopted_child": "09", "foster_child": "10", "ward": "15", "ex_spouse": "25", "sponsored": "23", "other": "G8",
	}
	reasons = map[string]string{
		"marriage": "32", "divorce": "01", "birth": "02", "adoption": "05", "death": "03", "retirement": "04",
	}
	genders = map[string]string{"female": "F", "male": "M"}
	marital = map[string]string{
		"single": "I", "married": "M", "partnership": "B", "separated": "S", "divorced": "D", "widowed": "W", "undisclosed": "R",
	}
)

// Codes of INS03 and HD01.
const (
	changed    = "001"
	added      = "021"
	ended      = "024"
	reinstated = "025"
)

// Codes of INS04 that we choose ourselves.
const (
	reasonEndOfBenefits = "07"
	reasonEndOfJob      = "08"
	reasonWithdrawal    = "14"
	reasonActive        = "20"
	reasonPlan          = "22"
	reasonIdentity      = "25"
	reasonInitial       = "28"
	reasonSelection     = "29"
	reasonPersonnel     = "33"
	reasonLeave         = "37"
	reasonReenrolled    = "41"
	reasonMoved         = "43"
)
