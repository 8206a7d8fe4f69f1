package rest

import (
	"context"
	"mime/multipart"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// call is a request as the handlers see it: who, what, with which parameters.
type call struct {
	user   string
	vars   map[string]string
	query  url.Values // names in lower case
	header http.Header
	body   []byte
	// parts is the body of an upload, which the handler reads itself.
	parts *multipart.Reader
	// extend moves the time at which the connection is given up.
	extend func(time.Time)
	now    time.Time
}

// answer is a handler's result. Body is written as JSON, or raw when it is a string (the lenient surface's manner
// for text); nil writes no body.
type answer struct {
	status int
	body   any
	header http.Header
}

type handler func(ctx context.Context, c *call) (*answer, *failure)

// route is one operation. In pattern, {name} stands for any one part; the others are in lower case.
type route struct {
	method  string
	pattern string
	// open needs no credentials.
	open bool
	// alias and canonical are set for a path that only Corda's documentation has: what it begins with, and what the same
	// path begins with elsewhere. Permissions hold for both.
	alias, canonical string
	// upload has a multipart body that the handler reads itself.
	upload bool
	// query are the names of the query parameters, in lower case.
	query  []string
	handle handler
}

// surface is a set of routes under some prefixes, with its own manner of telling errors.
type surface struct {
	prefixes []string
	routes   []route
	// strict refuses unknown query parameters and answers for paths in another case.
	strict bool
	write  func(f *failure, w http.ResponseWriter)
}

// found is what a path leads to.
type found struct {
	surface *surface
	route   *route
	vars    map[string]string
	// path is the canonical path: decoded, no slash at its end, static parts as they were sent.
	path string
	// redirect is the path to go to when static parts were not in lower case.
	redirect string
	allow    []string
}

// splitPath decodes a path into its parts. A path with empty, dot or slash-carrying parts leads nowhere: a rule
// about one spelling must not be passed by another.
func splitPath(escaped string) ([]string, bool) {
	trimmed := strings.TrimSuffix(strings.TrimPrefix(escaped, "/"), "/")
	if trimmed == "" {
		return nil, true
	}
	parts := strings.Split(trimmed, "/")
	for i, p := range parts {
		decoded, err := url.PathUnescape(p)
		if err != nil || decoded == "" || decoded == "." || decoded == ".." || strings.ContainsAny(decoded, "/\x00\r\n") {
			return nil, false
		}
		parts[i] = decoded
	}
	return parts, true
}

// find looks up the route of a method and path.
func find(surfaces []*surface, method string, parts []string) found {
	f := found{path: "/" + strings.Join(parts, "/")}
	for _, s := range surfaces {
		for _, prefix := range s.prefixes {
			head := strings.Split(strings.TrimPrefix(prefix, "/"), "/")
			if len(parts) < len(head) || !slices.EqualFunc(head, parts[:len(head)], strings.EqualFold) {
				continue
			}
			f.surface = s
			f.match(s, method, head, parts[len(head):], !slices.Equal(head, parts[:len(head)]))
			return f
		}
	}
	return f
}

func (f *found) match(s *surface, method string, head, rest []string, otherCase bool) {
	for i := range s.routes {
		r := &s.routes[i]
		vars, lower, ok := matchPattern(r.pattern, rest)
		if !ok {
			continue
		}
		if r.method != method {
			f.allow = append(f.allow, r.method)
			continue
		}
		if f.route != nil {
			continue // the first wins: static patterns stand before those with variables
		}
		f.route, f.vars = r, vars
		if otherCase || !slices.Equal(lower, rest) {
			f.redirect = "/" + strings.Join(slices.Concat(head, lower), "/")
		}
	}
}

func matchPattern(pattern string, parts []string) (vars map[string]string, lower []string, ok bool) {
	want := strings.Split(strings.Trim(pattern, "/"), "/")
	if len(want) != len(parts) {
		return nil, nil, false
	}
	vars, lower = map[string]string{}, slices.Clone(parts)
	for i, w := range want {
		if strings.HasPrefix(w, "{") {
			vars[strings.Trim(w, "{}")] = parts[i]
			continue
		}
		if !strings.EqualFold(w, parts[i]) {
			return nil, nil, false
		}
		lower[i] = w
	}
	return vars, lower, true
}

// readQuery parses a query with its names in lower case.
func readQuery(raw string) (url.Values, *failure) {
	q, err := url.ParseQuery(raw)
	if err != nil {
		return nil, refuse(http.StatusBadRequest, idParameter, "The query cannot be read: %s.", err)
	}
	lower := url.Values{}
	for name, values := range q {
		name = strings.ToLower(name)
		lower[name] = append(lower[name], values...)
	}
	return lower, nil
}

// unknownQuery refuses query parameters that an operation does not have.
func unknownQuery(q url.Values, known []string) *failure {
	for name := range q {
		if !slices.Contains(known, name) {
			return refuse(http.StatusBadRequest, idParameter, "Unknown query parameter %q.", name)
		}
	}
	return nil
}
