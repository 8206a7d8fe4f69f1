package topics

import (
	"errors"
	"fmt"
	"slices"
)

// Edge is one edge of a group or worker, as the code has it.
type Edge struct {
	Kind  Kind
	Topic string
	// Type is the message name of the edge's codec; empty when the codec does not tell it.
	Type string
}

// Check compares the edges of a group or worker with the catalogue and returns everything that differs, nil when they
// are equal.
func Check(groupName string, edges []Edge) error {
	type place struct {
		kind  Kind
		topic string
	}
	want := map[place]string{}
	for _, t := range All() {
		switch {
		case t.Own != "" && t.Owner == groupName:
			want[place{t.Own, t.Name}] = t.Type
		case t.Own == "" && slices.Contains(t.Writers, groupName):
			want[place{KindOutput, t.Name}] = t.Type
		}
		for _, r := range t.Readers {
			if r.By == groupName {
				want[place{r.As, t.Name}] = t.Type
			}
		}
	}
	if slices.Contains(DynamicWriters(), groupName) {
		want[place{KindDynamic, string(External)}] = ""
	}
	var problems []error
	for _, e := range edges {
		at := place{e.Kind, e.Topic}
		message, ok := want[at]
		delete(want, at)
		switch {
		case !ok:
			problems = append(problems, fmt.Errorf("group %s has the edge %s %s, which the catalogue lacks: add it to topics/catalogue.go", groupName, e.Kind, e.Topic))
		case e.Type != "" && message != "" && e.Type != message:
			problems = append(problems, fmt.Errorf("group %s, edge %s %s: the code has %s, the catalogue %s", groupName, e.Kind, e.Topic, e.Type, message))
		}
	}
	for at := range want {
		problems = append(problems, fmt.Errorf("the catalogue has the edge %s %s of group %s, which the code lacks", at.kind, at.topic, groupName))
	}
	slices.SortFunc(problems, func(a, b error) int {
		if a.Error() < b.Error() {
			return -1
		}
		return 1
	})
	return errors.Join(problems...)
}
