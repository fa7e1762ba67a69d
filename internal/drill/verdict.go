// SPDX-License-Identifier: Apache-2.0

package drill

import "fmt"

// A Verdict is what came of a check.
type Verdict int

// The verdicts. A warning does not keep a drill from being passed.
const (
	Passed Verdict = iota + 1
	Warning
	Failed
	Skipped
)

var verdicts = map[Verdict]string{Passed: "passed", Warning: "warning", Failed: "failed", Skipped: "skipped"}

func (v Verdict) String() string {
	if s, ok := verdicts[v]; ok {
		return s
	}
	return fmt.Sprintf("Verdict(%d)", int(v))
}

// MarshalText is String, for JSON.
func (v Verdict) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// A Check is something that has to be so, before or after a drill.
type Check struct {
	Name    string  `json:"name"`
	Verdict Verdict `json:"verdict"`
	Text    string  `json:"text"` // what was found, and what to do about it
}

func passed(name, format string, args ...any) Check {
	return Check{name, Passed, fmt.Sprintf(format, args...)}
}

func warning(name, format string, args ...any) Check {
	return Check{name, Warning, fmt.Sprintf(format, args...)}
}

func failed(name, format string, args ...any) Check {
	return Check{name, Failed, fmt.Sprintf(format, args...)}
}

func skipped(name, format string, args ...any) Check {
	return Check{name, Skipped, fmt.Sprintf(format, args...)}
}

// anyFailed reports whether one of the checks has failed.
func anyFailed(checks []Check) bool {
	for _, c := range checks {
		if c.Verdict == Failed {
			return true
		}
	}
	return false
}
