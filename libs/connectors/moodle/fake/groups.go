package fake

import (
	"fmt"
	"slices"
	"strings"

	"github.com/muster-hr/muster/libs/connector/fake"
)

// cohort is a group across the site. Its id counts apart from those of users.
type cohort struct {
	id       int64
	idnumber string
}

func (v *site) addCohort(idnumber string) *cohort {
	c := &cohort{id: int64(len(v.cohorts)) + 1, idnumber: idnumber}
	v.cohorts = append(v.cohorts, c)
	return c
}

// cohort finds one; where the site's are not listed, all exist.
func (v *site) cohort(field, value string) *cohort {
	for _, c := range v.cohorts {
		if (field == "idnumber" && c.idnumber == value) || (field == "id" && fmt.Sprint(c.id) == value) {
			return c
		}
	}
	if field == "idnumber" && value != "" && v.exists("cohorts", value) {
		return v.addCohort(value)
	}
	return nil
}

// join adds members; what cannot be done is a warning that names nobody.
func (v *site) join(args map[string]any) (any, *problem) {
	warnings := []any{}
	warn := func(code, format string, a ...any) {
		warnings = append(warnings, map[string]any{"warningcode": code, "message": fmt.Sprintf(format, a...)})
	}
	for _, m := range objects(args["members"]) {
		of, _ := m["cohorttype"].(map[string]any)
		who, _ := m["usertype"].(map[string]any)
		byCohort, byUser := text(of["type"]), text(who["type"])
		if byCohort != "id" && byCohort != "idnumber" {
			warn("1", "invalid parameter: cohortype=%s", byCohort)
			continue
		}
		if byUser != "id" && byUser != "username" {
			warn("1", "invalid parameter: usertype=%s", byUser)
			continue
		}
		c := v.cohort(byCohort, text(of["value"]))
		if c == nil {
			warn("2", "cohort %s=%s not exists", byCohort, text(of["value"]))
			continue
		}
		u := v.member(byUser, text(who["value"]))
		if u == nil {
			warn("2", "user %s=%s not exists", byUser, text(who["value"]))
			continue
		}
		if slices.Contains(u.cohorts, c.idnumber) {
			warn("3", "record already exists: cohort(%s=%s %s=%s)", byCohort, text(of["value"]), byUser, text(who["value"]))
			continue
		}
		u.cohorts = append(u.cohorts, c.idnumber)
		v.wrote(u, fake.Other, map[string]any{"joins": c.idnumber})
	}
	return map[string]any{"warnings": warnings}, nil
}

func (v *site) member(by, value string) *user {
	for _, u := range v.users {
		if !u.deleted && ((by == "id" && u.key() == value) || (by == "username" && u.fields["username"] == value)) {
			return u
		}
	}
	return nil
}

// leave takes members out, by ids only: all, or none.
func (v *site) leave(args map[string]any) (any, *problem) {
	type pair struct {
		u *user
		c *cohort
	}
	var pairs []pair
	for _, m := range objects(args["members"]) {
		p := pair{v.member("id", text(m["userid"])), v.cohort("id", text(m["cohortid"]))}
		if p.u == nil || p.c == nil {
			return nil, &problem{"dml_missing_record_exception", "invalidrecordunknown", ""}
		}
		pairs = append(pairs, p)
	}
	for _, p := range pairs {
		if !slices.Contains(p.u.cohorts, p.c.idnumber) {
			continue // no member: no complaint
		}
		p.u.cohorts = slices.DeleteFunc(p.u.cohorts, func(c string) bool { return c == p.c.idnumber })
		v.wrote(p.u, fake.Other, map[string]any{"leaves": p.c.idnumber})
	}
	return nil, nil
}

// searchCohorts finds those that hold the words in their id number.
func (v *site) searchCohorts(args map[string]any) (any, *problem) {
	found := []any{}
	for _, c := range v.cohorts {
		if strings.Contains(strings.ToLower(c.idnumber), strings.ToLower(text(args["query"]))) {
			found = append(found, map[string]any{
				"id": c.id, "name": c.idnumber, "idnumber": c.idnumber, "description": "", "descriptionformat": 1, "visible": true, "customfields": []any{},
			})
		}
	}
	return map[string]any{"cohorts": found}, nil
}

// enrol puts people into courses: all, or nobody. Who is suspended is refused.
func (v *site) enrol(args map[string]any) (any, *problem) {
	return v.enrolment(args, []string{"roleid", "userid", "courseid"}, func(u *user, course string) {
		if !slices.Contains(u.courses, course) {
			u.courses = append(u.courses, course)
			v.wrote(u, fake.Other, map[string]any{"enrolled": course})
		}
	})
}

func (v *site) unenrol(args map[string]any) (any, *problem) {
	return v.enrolment(args, []string{"userid", "courseid"}, func(u *user, course string) {
		if slices.Contains(u.courses, course) {
			u.courses = slices.DeleteFunc(u.courses, func(c string) bool { return c == course })
			v.wrote(u, fake.Other, map[string]any{"unenrolled": course})
		}
	})
}

func (v *site) enrolment(args map[string]any, needed []string, do func(*user, string)) (any, *problem) {
	in := objects(args["enrolments"])
	if p := known(in, []string{"roleid", "userid", "courseid", "timestart", "timeend", "suspend"}, needed); p != nil {
		return nil, p
	}
	for _, e := range in {
		switch u := v.byID(text(e["userid"])); {
		case u == nil:
			return nil, &problem{"dml_missing_record_exception", "invaliduser", ""}
		case u.deleted:
			return nil, &problem{"moodle_exception", "userdeleted", ""}
		case u.suspended:
			return nil, &problem{"moodle_exception", "suspended", ""}
		case !v.exists("courses", text(e["courseid"])):
			return nil, &problem{"moodle_exception", "wsnoinstance", ""}
		}
	}
	for _, e := range in {
		do(v.byID(text(e["userid"])), text(e["courseid"]))
	}
	return nil, nil
}

// completion tells whether a user has finished a course.
func (v *site) completion(args map[string]any) (any, *problem) {
	course := text(args["courseid"])
	u := v.byID(text(args["userid"]))
	if u == nil || !v.exists("courses", course) {
		return nil, &problem{"moodle_exception", "nocriteriaset", ""}
	}
	at, done := u.completed[course]
	var when any
	status := "No"
	if done {
		when, status = at.Unix(), "Yes"
	}
	return map[string]any{
		"completionstatus": map[string]any{
			"completed": done, "aggregation": 1,
			"completions": []any{map[string]any{
				"type": 4, "title": "Activity completion", "status": status, "complete": done, "timecompleted": when,
				"details": map[string]any{
					"type": "Activity completion", "criteria": `<a href="https://fake.moodle.example/mod/quiz/view.php?id=901">Course ` + course + `</a>`,
					"requirement": "Marking complete", "status": "",
				},
			}},
		},
		"warnings": []any{},
	}, nil
}
