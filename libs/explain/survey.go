package explain

import (
	"time"

	"github.com/muster-hr/muster/libs/config"
	"github.com/muster-hr/muster/libs/connector"
	"github.com/muster-hr/muster/libs/employee"
	"github.com/muster-hr/muster/libs/fault"
	"github.com/muster-hr/muster/libs/survey"
)

// response takes a response to a survey through the stages. It never makes a
// person: Path says by what it is linked, Rule that it is, or that it is not to
// be. With a mapping it is a partial word about whom it is linked to.
func response(c *config.Company, src *config.Source, r connector.Record, now time.Time, out Record) Record {
	answers, err := survey.Parse(r.Body)
	if err != nil {
		out.Stages = append(out.Stages, dead("map", fault.Of(err)))
		return out
	}
	whose := Stage{Stage: "identify", Outcome: "ok", Rule: "anonymous"}
	if who := answers.Respondent; who != nil && !answers.Anonymous {
		whose.Rule = "respondent"
		switch {
		case who.ExternalID != "":
			whose.Path = "respondent.external_id"
		case who.EmployeeNumber != "":
			whose.Path = "respondent.employee_number"
		default:
			whose.Path = "respondent.email"
		}
	}
	if src.Mapping == nil || whose.Rule == "anonymous" {
		out.Stages = append(out.Stages, Stage{Stage: "map", Outcome: "ok", Rule: "survey"}, whose)
		return out
	}
	r.Partial = true
	obs, err := src.Mapping.Observe(r, now)
	if err != nil {
		out.Stages = append(out.Stages, whose, dead("map", fault.Of(err)))
		return out
	}
	out.Flags = append(out.Flags, FlagPartial)
	out.Observations = append(out.Observations, obs)
	leaves := employee.Flatten(obs.Fields)
	out.Stages = append(out.Stages, Stage{Stage: "map", Outcome: "ok"}, whose, order(r.Version))
	out.Stages = append(out.Stages, authority(c, src.Name, leaves)...)
	out.Stages = append(out.Stages, effective(obs.Effective, now))
	return out
}
