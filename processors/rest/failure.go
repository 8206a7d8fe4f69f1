package rest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// failure is an answer that is not what the caller asked for. The handlers make it once; each surface writes it in
// its own manner.
type failure struct {
	status int
	// id is stable, such as FL-REST-009; `fairlead explain` knows it.
	id string
	// title is the whole message on Corda's surface, and the detail on fairlead's.
	title   string
	details map[string]string
	// retryAfter is set when the same request may succeed later.
	retryAfter time.Duration
	// header is set on the answer, for example Allow.
	header http.Header
}

func (f *failure) Error() string { return f.id + ": " + f.title }

func refuse(status int, id, format string, args ...any) *failure {
	return &failure{status: status, id: id, title: fmt.Sprintf(format, args...)}
}

func (f *failure) later(d time.Duration) *failure {
	f.retryAfter = d
	return f
}

func (f *failure) with(details map[string]string) *failure {
	f.details = details
	return f
}

// The stable ids of this worker's errors.
const (
	idNoCredentials    = "FL-REST-001"
	idWrongCredentials = "FL-REST-002"
	idForbidden        = "FL-REST-003"
	idThrottled        = "FL-REST-004"
	idNoRoute          = "FL-REST-005"
	idMethod           = "FL-REST-006"
	idGone             = "FL-REST-007"
	idBody             = "FL-REST-008"
	idTooLarge         = "FL-REST-009"
	idShortHash        = "FL-REST-010"
	idNoVNode          = "FL-REST-011"
	idNotOperational   = "FL-REST-012"
	idClientRequestID  = "FL-REST-013"
	idNotStartable     = "FL-REST-014"
	idStartForbidden   = "FL-REST-015"
	idTaken            = "FL-REST-016"
	idUndecided        = "FL-REST-017"
	idNoFlow           = "FL-REST-018"
	idStatusFilter     = "FL-REST-019"
	idNoCPI            = "FL-REST-020"
	idTerminal         = "FL-REST-021"
	idPublish          = "FL-REST-022"
	idParameter        = "FL-REST-023"
	idInternal         = "FL-REST-024"
	idNoHistory        = "FL-REST-025"
	idNoReply          = "FL-REST-026"
	idNoEntity         = "FL-REST-027"
	idMultipart        = "FL-REST-028"
	idNoUpload         = "FL-REST-029"
	idUploadFailed     = "FL-REST-030"
	idNotBuilt         = "FL-REST-031"
	idNoSealKey        = "FL-REST-032"
	idNoRotation       = "FL-REST-033"
)

// headerErrorID carries the stable id of an error on both surfaces, for Corda's body has exactly three members.
const headerErrorID = "Fairlead-Error-Id"

func (f *failure) writeHeader(h http.Header) {
	for k, v := range f.header {
		h[k] = v
	}
	if f.id != "" {
		h.Set(headerErrorID, f.id)
	}
	if f.retryAfter > 0 {
		seconds := (f.retryAfter + time.Second - 1) / time.Second
		h.Set("Retry-After", strconv.FormatInt(int64(seconds), 10))
	}
}

// writeCorda writes the error as Corda 5.2 does: three members, the whole message in title, all details strings.
func (f *failure) writeCorda(w http.ResponseWriter) {
	f.writeHeader(w.Header())
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(f.status)
	var b bytes.Buffer
	details, err := marshal(f.details)
	if f.details == nil || err != nil {
		details = []byte("{}")
	}
	title, err := marshal(f.title)
	if err != nil {
		title = []byte(`""`)
	}
	fmt.Fprintf(&b, "{\n    \"title\": %s,\n    \"status\": %d,\n    \"details\": %s\n}", title, f.status, details)
	_, _ = w.Write(b.Bytes()) // the caller is gone when this fails
}

// problem is RFC 9457's object.
type problem struct {
	Type    string            `json:"type"`
	Title   string            `json:"title"`
	Status  int               `json:"status"`
	Detail  string            `json:"detail"`
	Code    string            `json:"code"`
	Details map[string]string `json:"details,omitempty"`
}

// writeProblem writes the error as fairlead's own interface does.
func (f *failure) writeProblem(w http.ResponseWriter) {
	f.writeHeader(w.Header())
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(f.status)
	body, err := marshal(problem{
		Type: "urn:fairlead:error:" + f.id, Title: http.StatusText(f.status), Status: f.status,
		Detail: f.title, Code: f.id, Details: f.details,
	})
	if err != nil {
		return
	}
	_, _ = w.Write(append(body, '\n')) // the caller is gone when this fails
}

// marshal is json.Marshal without the escapes for HTML.
func marshal(v any) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimRight(b.Bytes(), "\n"), nil
}
