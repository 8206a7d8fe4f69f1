package rest

import (
	"errors"
	"fmt"
	"io"
	"mime"
	"mime/multipart"
	"net/http"
	"strings"
	"time"
)

// uploadTimeout bounds how long a package may take to come in.
const uploadTimeout = 10 * time.Minute

// multipartOf returns the parts of a body that must be multipart/form-data.
func multipartOf(r *http.Request) (*multipart.Reader, *failure) {
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != "multipart/form-data" || params["boundary"] == "" {
		return nil, refuse(http.StatusUnsupportedMediaType, idMultipart, "The body must be multipart/form-data, for example curl -F name=@file; Content-Type is '%s'.", r.Header.Get("Content-Type"))
	}
	return multipart.NewReader(r.Body, params["boundary"]), nil
}

// form is a small multipart body, read whole: the values by the part's name in lower case. A name may stand several
// times, as Corda's "certificate" does.
type form map[string][]string

// Bounds of a small form: bytes of its values, and parts.
const (
	maxForm      = 1 << 20
	maxFormParts = 100
)

func readForm(parts *multipart.Reader, known ...string) (form, *failure) {
	out, left := form{}, int64(maxForm)
	for count := 0; ; count++ {
		if count > maxFormParts {
			return nil, refuse(http.StatusBadRequest, idTooLarge, "The form has more than %d parts.", maxFormParts)
		}
		part, err := parts.NextPart()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, brokenForm(err)
		}
		name := strings.ToLower(part.FormName())
		if !contains(known, name) {
			return nil, refuse(http.StatusBadRequest, idMultipart, "Unknown part '%s': known are %s.", part.FormName(), strings.Join(known, ", "))
		}
		value, err := io.ReadAll(io.LimitReader(part, left+1))
		if err != nil {
			return nil, brokenForm(err)
		}
		if left -= int64(len(value)); left < 0 {
			return nil, refuse(http.StatusBadRequest, idTooLarge, "The form has more than %d bytes.", maxForm)
		}
		out[name] = append(out[name], string(value))
	}
}

func contains(names []string, name string) bool {
	for _, n := range names {
		if strings.EqualFold(n, name) {
			return true
		}
	}
	return false
}

func brokenForm(err error) *failure {
	return refuse(http.StatusBadRequest, idMultipart, "The multipart body cannot be read: %s.", err)
}

func (f form) one(name string) (string, *failure) {
	if values := f[name]; len(values) == 1 && values[0] != "" {
		return values[0], nil
	}
	return "", refuse(http.StatusBadRequest, idMultipart, "Part '%s' is needed, once: it is there %s.", name, times(len(f[name])))
}

func times(n int) string {
	if n == 1 {
		return "once and empty"
	}
	return fmt.Sprintf("%d times", n)
}
