package event

import (
	"fmt"
	"time"
)

func setTime(e *Event, v string) error {
	t, err := time.Parse(time.RFC3339Nano, v)
	if err != nil {
		return fmt.Errorf("header ce-time: want an RFC 3339 time")
	}
	e.SetTime(t)
	return nil
}
