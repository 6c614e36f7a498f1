package pipeline

import (
	"maps"
	"slices"
	"time"

	"github.com/muster-hr/muster/libs/employee"
	"github.com/muster-hr/muster/libs/record"
)

// effective keeps what becomes true on a later day out of the state until that
// day, and derives the status from what was said, the dates and the day.
type effective struct {
	zone *time.Location
}

// today is the calendar day in the company's zone.
func (e effective) today(now time.Time) string { return now.In(e.zone).Format(time.DateOnly) }

// due takes the pending entries out whose day has come, oldest day first.
func (e effective) due(s *employee.State, today string) []employee.Pending {
	var due []employee.Pending
	s.Pending = slices.DeleteFunc(slices.Clone(s.Pending), func(p employee.Pending) bool {
		if p.Effective <= today {
			due = append(due, p)
			return true
		}
		return false
	})
	slices.SortStableFunc(due, func(a, b employee.Pending) int {
		if a.Effective < b.Effective {
			return -1
		}
		if a.Effective > b.Effective {
			return 1
		}
		return 0
	})
	return due
}

// postpone keeps what a source says for a later day and reports whether that is
// news. What it said for the same day before stands as far as this says nothing.
func postpone(s *employee.State, later employee.Pending) (news bool) {
	fields := employee.Flat{}
	others := slices.DeleteFunc(slices.Clone(s.Pending), func(p employee.Pending) bool {
		same := p.Effective == later.Effective && p.Source == later.Source
		if same {
			maps.Copy(fields, p.Fields)
		}
		return same
	})
	for leaf, v := range later.Fields {
		v = record.Normal(v)
		if before, said := fields[leaf]; !said || !employee.Equal(before, v) {
			fields[leaf], news = v, true
		}
	}
	if news {
		later.Fields = fields
		s.Pending = append(others, later)
	}
	return news
}

// status is employment.status on a day: a start counts from 00:00 of its day,
// an end until 24:00 of the last one. Withdrawn is a fact without a date; a
// termination date before the hire date belongs to an earlier spell.
func status(s *employee.State, today string) string {
	hired, _ := s.Fields["employment.hire_date"].(string)
	ended, _ := s.Fields["employment.termination_date"].(string)
	if ended != "" && hired != "" && ended < hired {
		ended = ""
	}
	switch {
	case s.Said == employee.Withdrawn:
		return employee.Withdrawn
	case ended != "" && ended < today:
		return employee.Terminated
	case s.Said == employee.Terminated && (ended == "" || ended < today):
		return employee.Terminated
	case hired != "" && hired > today:
		return employee.PreHire
	case s.Said == employee.OnLeave:
		return employee.OnLeave
	case s.Said == employee.PreHire && hired == "":
		return employee.PreHire
	case s.Said == "" && hired == "":
		return ""
	}
	return employee.Active
}
