package employee

// Person is the canonical person, as `canonical.md` of the project fixes it:
// field names, types and classes of personal data. Programs that need typed
// access decode into it; the services work on trees, which keep absent, null
// and value apart. The tags are read by [Fields] and by the schema generator:
// `class` is the class of personal data, `kind` the form of a text, `enum` its
// words.
type Person struct {
	ID               string              `json:"id,omitempty" class:"basic"`
	EmployeeNumber   string              `json:"employee_number,omitempty" class:"basic"`
	Username         string              `json:"username,omitempty" class:"basic"`
	Name             *Name               `json:"name,omitempty" class:"basic"`
	WorkEmail        string              `json:"work_email,omitempty" class:"basic"`
	PersonalEmail    string              `json:"personal_email,omitempty" class:"contact"`
	Phones           []Phone             `json:"phones,omitempty" class:"contact" key:"kind"`
	Addresses        []Address           `json:"addresses,omitempty" class:"contact" key:"kind"`
	BirthDate        string              `json:"birth_date,omitempty" class:"demographic" kind:"day"`
	Gender           string              `json:"gender,omitempty" class:"demographic" enum:"female,male,non_binary,other,undisclosed"`
	MaritalStatus    string              `json:"marital_status,omitempty" class:"demographic" enum:"single,married,partnership,separated,divorced,widowed,undisclosed"`
	Locale           string              `json:"locale,omitempty" class:"basic"`
	TimeZone         string              `json:"time_zone,omitempty" class:"basic"`
	NationalIDs      []NationalID        `json:"national_ids,omitempty" class:"identifier" key:"country,kind"`
	Employment       *Employment         `json:"employment,omitempty" class:"basic"`
	Positions        []Position          `json:"positions,omitempty" class:"basic" key:"position"`
	Compensation     *Compensation       `json:"compensation,omitempty" class:"pay"`
	TaxWithholdings  []TaxWithholding    `json:"tax_withholdings,omitempty" class:"pay"`
	Deductions       []Deduction         `json:"deductions,omitempty" class:"pay"`
	BankAccounts     []BankAccount       `json:"bank_accounts,omitempty" class:"pay"`
	BenefitElections []BenefitElection   `json:"benefit_elections,omitempty" class:"benefit"`
	BenefitEligible  []BenefitEligible   `json:"benefit_eligibility,omitempty" class:"benefit"`
	Dependants       []Dependant         `json:"dependants,omitempty" class:"benefit"`
	Training         []Training          `json:"training,omitempty" class:"basic"`
	Custom           map[string]any      `json:"custom,omitempty"`
	External         map[string][]string `json:"external,omitempty" class:"basic"`
}

// Name is a person's name in its parts. Full is only set when a source gives
// one string; it is split only by an explicit mapping.
type Name struct {
	Given     string `json:"given,omitempty"`
	Family    string `json:"family,omitempty"`
	Middle    string `json:"middle,omitempty"`
	Preferred string `json:"preferred,omitempty"`
	Prefix    string `json:"prefix,omitempty"`
	Suffix    string `json:"suffix,omitempty"`
	Full      string `json:"full,omitempty"`
}

// Phone is one number; E.164 when it parses, else as given. The class is basic
// for kind work, else contact.
type Phone struct {
	Kind      string `json:"kind" enum:"work,mobile,home"`
	Number    string `json:"number,omitempty"`
	Extension string `json:"extension,omitempty"`
}

// Address is one address; Unparsed holds it when a source gives one block.
type Address struct {
	Kind       string   `json:"kind" enum:"home,work,mailing"`
	Lines      []string `json:"lines,omitempty"`
	City       string   `json:"city,omitempty"`
	Region     string   `json:"region,omitempty"`
	PostalCode string   `json:"postal_code,omitempty"`
	Country    string   `json:"country,omitempty" kind:"country"`
	Unparsed   string   `json:"unparsed,omitempty"`
}

// NationalID is one national identifier, for example kind ssn of country US.
type NationalID struct {
	Country string `json:"country" kind:"country"`
	Kind    string `json:"kind"`
	Value   string `json:"value"`
}

// Employment is the current spell of employment.
type Employment struct {
	Status            string  `json:"status,omitempty" enum:"pre_hire,active,leave,terminated,withdrawn"`
	Type              string  `json:"type,omitempty" enum:"full_time,part_time,contractor,intern,temporary,other"`
	HireDate          string  `json:"hire_date,omitempty" kind:"day"`
	OriginalHireDate  string  `json:"original_hire_date,omitempty" kind:"day"`
	StartDate         string  `json:"start_date,omitempty" kind:"day"`
	TerminationDate   string  `json:"termination_date,omitempty" kind:"day"`
	LastDayWorked     string  `json:"last_day_worked,omitempty" kind:"day"`
	TerminationKind   string  `json:"termination_kind,omitempty" class:"demographic" enum:"voluntary,involuntary,other"`
	TerminationReason string  `json:"termination_reason,omitempty" class:"demographic"`
	RehireEligible    *bool   `json:"rehire_eligible,omitempty" class:"demographic"`
	Leave             *Leave  `json:"leave,omitempty" class:"demographic"`
	LegalEntity       string  `json:"legal_entity,omitempty"`
	Country           string  `json:"country,omitempty" kind:"country"`
	PayGroup          string  `json:"pay_group,omitempty"`
	OvertimeClass     string  `json:"overtime_class,omitempty" enum:"exempt,nonexempt,other"`
	Spells            []Spell `json:"spells,omitempty"`
}

// Leave is a leave of absence.
type Leave struct {
	Kind  string `json:"kind,omitempty"`
	Start string `json:"start,omitempty" kind:"day"`
	End   string `json:"end,omitempty" kind:"day"`
}

// Spell is a past spell of employment.
type Spell struct {
	HireDate        string `json:"hire_date,omitempty" kind:"day"`
	TerminationDate string `json:"termination_date,omitempty" kind:"day"`
}

// Position is one position held; at most one is primary. Manager is our
// employee id in a state and an object that names the person in an observation;
// a state that does not know the person yet has [Awaited] there.
type Position struct {
	ID          string       `json:"id,omitempty"`
	Title       string       `json:"title,omitempty"`
	JobCode     string       `json:"job_code,omitempty"`
	Department  string       `json:"department,omitempty"`
	Division    string       `json:"division,omitempty"`
	Location    string       `json:"location,omitempty"`
	CostCenter  string       `json:"cost_center,omitempty"`
	CostCenters []CostCenter `json:"cost_centers,omitempty"`
	Grade       string       `json:"grade,omitempty"`
	Manager     any          `json:"manager,omitempty" kind:"manager"`
	FTE         string       `json:"fte,omitempty" kind:"decimal"`
	WeeklyHours string       `json:"weekly_hours,omitempty" kind:"decimal"`
	Primary     bool         `json:"primary,omitempty"`
	Start       string       `json:"start,omitempty" kind:"day"`
	End         string       `json:"end,omitempty" kind:"day"`
}

// CostCenter is a share of a position's cost; Share is decimal text.
type CostCenter struct {
	Code  string `json:"code"`
	Share string `json:"share,omitempty" kind:"decimal"`
}

// Compensation is base pay. Amount is decimal text, Currency ISO 4217; Period
// is absent when the source does not say it.
type Compensation struct {
	Amount        string `json:"amount,omitempty" kind:"decimal"`
	Currency      string `json:"currency,omitempty" kind:"currency"`
	Period        string `json:"period,omitempty" enum:"hour,day,week,two_weeks,half_month,four_weeks,month,quarter,year,pay_period"`
	EffectiveDate string `json:"effective_date,omitempty" kind:"day"`
	Kind          string `json:"kind,omitempty" enum:"salary,hourly"`
}

// Money is a decimal amount as text with its ISO 4217 currency.
type Money struct {
	Amount   string `json:"amount" kind:"decimal"`
	Currency string `json:"currency" kind:"currency"`
}

// TaxWithholding is one tax form of one jurisdiction (`US`, `US-CA`).
type TaxWithholding struct {
	Jurisdiction string         `json:"jurisdiction"`
	Form         string         `json:"form,omitempty"`
	Fields       map[string]any `json:"fields,omitempty"`
}

// Deduction is a recurring deduction, by Amount or by Percent.
type Deduction struct {
	Code           string `json:"code"`
	Amount         *Money `json:"amount,omitempty"`
	Percent        string `json:"percent,omitempty" kind:"decimal"`
	EmployerAmount *Money `json:"employer_amount,omitempty"`
	Period         string `json:"period,omitempty"`
	PreTax         *bool  `json:"pre_tax,omitempty"`
	Start          string `json:"start,omitempty" kind:"day"`
	End            string `json:"end,omitempty" kind:"day"`
}

// BankAccount is an account for pay, by IBAN or by routing and account number.
type BankAccount struct {
	Kind    string `json:"kind,omitempty"`
	Holder  string `json:"holder,omitempty"`
	IBAN    string `json:"iban,omitempty"`
	Routing string `json:"routing,omitempty"`
	Account string `json:"account,omitempty"`
	Share   string `json:"share,omitempty" kind:"decimal"`
}

// BenefitElection is what a person chose of one plan.
type BenefitElection struct {
	Plan       string   `json:"plan"`
	Kind       string   `json:"kind,omitempty" enum:"medical,dental,vision,life,add,std,ltd,other"`
	Coverage   string   `json:"coverage,omitempty" enum:"employee,employee_spouse,employee_partner,employee_children,family,spouse,children,spouse_children"`
	Amount     *Money   `json:"amount,omitempty"`
	Start      string   `json:"start,omitempty" kind:"day"`
	End        string   `json:"end,omitempty" kind:"day"`
	Waived     *bool    `json:"waived,omitempty"`
	Reason     string   `json:"reason,omitempty"`
	SignedOn   string   `json:"signed_on,omitempty" kind:"day"`
	Dependants []string `json:"dependants,omitempty"`
}

// BenefitEligible says that a person may choose a plan.
type BenefitEligible struct {
	Plan  string `json:"plan"`
	Class string `json:"class,omitempty"`
	Start string `json:"start,omitempty" kind:"day"`
	End   string `json:"end,omitempty" kind:"day"`
}

// Dependant is a covered family member.
type Dependant struct {
	ID           string       `json:"id"`
	Relationship string       `json:"relationship,omitempty"`
	Name         *Name        `json:"name,omitempty"`
	BirthDate    string       `json:"birth_date,omitempty" kind:"day"`
	Gender       string       `json:"gender,omitempty" enum:"female,male,non_binary,other,undisclosed"`
	NationalIDs  []NationalID `json:"national_ids,omitempty"`
	Address      *Address     `json:"address,omitempty"`
}

// Training is a course taken. CompletedAt and ExpiresAt are instants, RFC 3339 UTC.
type Training struct {
	Course      string `json:"course"`
	Title       string `json:"title,omitempty"`
	Status      string `json:"status,omitempty"`
	CompletedAt string `json:"completed_at,omitempty" kind:"instant"`
	ExpiresAt   string `json:"expires_at,omitempty" kind:"instant"`
	Score       string `json:"score,omitempty" kind:"decimal"`
}
