package rest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/fairleadio/fairlead/internal/rbac"
	dbv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/db/v1"
)

// Parts are what the worker is built from.
type Parts struct {
	Views  Views
	Writer Writer
	// Requests asks the workers that change things.
	Requests Requests
	Journal  Journal
	// Seal seals the connections that a caller brings, for the record with a key. nil: none are taken.
	Seal func(recordKey string, c *dbv1.Connections) ([]byte, error)
	// Healthy tells whether the process is ready, and why not.
	Healthy func() (ok bool, reasons []string)
	Log     *slog.Logger
	Metrics prometheus.Registerer
	// Now is the clock; nil is the real one.
	Now func() time.Time
}

// Server serves both interfaces. It is an [http.Handler].
type Server struct {
	cfg      Config
	parts    Parts
	auth     *authenticator
	rules    rbac.Rules
	surfaces []*surface
	metrics  *metrics
	// draining ends the waiting of requests when the server stops.
	draining context.Context
	drain    context.CancelFunc
}

// New builds the server. Its views should have caught up before it serves.
func New(cfg Config, parts Parts) (*Server, error) {
	cfg = cfg.WithDefaults()
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if parts.Now == nil {
		parts.Now = time.Now
	}
	if parts.Log == nil {
		parts.Log = slog.New(slog.DiscardHandler)
	}
	s := &Server{cfg: cfg, parts: parts}
	var err error
	if s.metrics, err = newMetrics(parts.Metrics); err != nil {
		return nil, err
	}
	if s.auth, err = newAuthenticator(cfg, parts.Views, parts.Now, s.metrics.loginFailed.Inc); err != nil {
		return nil, err
	}
	s.draining, s.drain = context.WithCancel(context.Background())
	s.surfaces = []*surface{
		{prefixes: []string{"/api/v5_2", "/api/v5_1"}, routes: s.cordaRoutes(), write: (*failure).writeCorda},
		{prefixes: []string{"/api/fairlead/v1"}, routes: s.ownRoutes(), strict: true, write: (*failure).writeProblem},
		{prefixes: []string{"/api/v1"}, write: (*failure).writeCorda},
	}
	return s, nil
}

// UserChanged forgets the verified passwords of a login; call it when the view of users or credentials changes.
func (s *Server) UserChanged(login string) { s.auth.changed(login) }

// Limits of a connection.
const (
	readHeaderTimeout = 10 * time.Second
	readTimeout       = 60 * time.Second
	idleTimeout       = 2 * time.Minute
	answerTime        = 60 * time.Second
	maxHeaderBytes    = 64 << 10
)

// Serve answers on ln until ctx ends; then it refuses new connections, ends what waits, and lets running requests
// finish for as long as grace.
func (s *Server) Serve(ctx context.Context, ln net.Listener, tlsConfig *tls.Config, grace time.Duration) error {
	server := &http.Server{
		Handler: s, TLSConfig: tlsConfig, ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout,
		WriteTimeout: readTimeout + s.cfg.MaxWait + answerTime, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog:    slog.NewLogLogger(s.parts.Log.Handler(), slog.LevelDebug),
		BaseContext: func(net.Listener) context.Context { return context.WithoutCancel(ctx) },
	}
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		s.drain()
		limit, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
		defer cancel()
		err := server.Shutdown(limit)
		if err != nil {
			err = errors.Join(fmt.Errorf("requests still ran after %s: %w", grace, err), server.Close())
		}
		stopped <- err
	}()
	var err error
	if tlsConfig != nil {
		err = server.ServeTLS(ln, "", "")
	} else {
		err = server.Serve(ln)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return <-stopped
	}
	return fmt.Errorf("serving REST on %s: %w", ln.Addr(), err)
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	began := s.parts.Now()
	rec := &recorder{ResponseWriter: w, status: http.StatusOK}
	h := rec.Header()
	h.Set("Cache-Control", "no-cache")
	h.Set("X-Content-Type-Options", "nosniff")
	route := s.serve(rec, r)
	s.metrics.request(r.Method, route, rec.status, s.parts.Now().Sub(began))
}

// recorder remembers the status code for the metrics.
type recorder struct {
	http.ResponseWriter
	status int
}

// Unwrap lets a response controller reach the connection.
func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

// serve answers and returns the name of the route for the metrics: bounded, whatever paths are asked for.
func (s *Server) serve(w http.ResponseWriter, r *http.Request) string {
	parts, ok := splitPath(r.URL.EscapedPath())
	var f found
	if ok {
		f = find(s.surfaces, r.Method, parts)
	}
	write := (*failure).writeCorda
	if f.surface != nil {
		write = f.surface.write
	}
	name := "none"
	if f.route != nil {
		name = f.route.pattern
	}
	control := http.NewResponseController(w)
	a, fail := s.answer(r, f, func(t time.Time) {
		// A connection without deadlines needs no later ones.
		_ = control.SetReadDeadline(t)
		_ = control.SetWriteDeadline(t.Add(answerTime))
	})
	if fail != nil {
		if fail.status >= http.StatusInternalServerError {
			s.parts.Log.Warn("request failed", "method", r.Method, "route", name, "status", fail.status, "id", fail.id, "error", fail.title)
		}
		write(fail, w)
		return name
	}
	if err := a.writeTo(w); err != nil {
		s.parts.Log.Error("writing an answer failed", "route", name, "error", err)
	}
	return name
}

func (s *Server) answer(r *http.Request, f found, extend func(time.Time)) (*answer, *failure) {
	if f.surface != nil && len(f.surface.routes) == 0 {
		return nil, refuse(http.StatusGone, idGone, "/api/v1 is the interface of Corda 5.0, which fairlead does not serve: use /api/v5_2 (its document is /api/v5_2/openapi.json).")
	}
	if f.redirect != "" && !f.surface.strict {
		return &answer{status: http.StatusMovedPermanently, header: http.Header{"Location": {location(f.redirect, r.URL.RawQuery)}}}, nil
	}
	c := &call{vars: f.vars, header: r.Header, now: s.parts.Now(), extend: extend}
	if f.route == nil || !f.route.open {
		user, fail := s.auth.caller(r.Context(), r)
		if fail != nil {
			return nil, fail
		}
		c.user = user
	}
	if f.route == nil || f.redirect != "" {
		return nil, noRoute(r, f)
	}
	var fail *failure
	if c.query, fail = readQuery(r.URL.RawQuery); fail != nil {
		return nil, fail
	}
	if !f.route.open {
		decoded, err := url.QueryUnescape(r.URL.RawQuery)
		if err != nil {
			decoded = r.URL.RawQuery
		}
		request := rbac.Call(r.Method, f.path, r.URL.RawQuery, decoded, strings.ToUpper(vnodeOf(f.vars)))
		if f.route.alias != "" {
			other := rbac.Call(r.Method, strings.Replace(f.path, f.route.alias, f.route.canonical, 1), r.URL.RawQuery, decoded, "")
			request.Subjects = append(other.Subjects, request.Subjects...)
		}
		if !s.rules.Allowed(s.parts.Views, c.user, request) {
			return nil, refuse(http.StatusForbidden, idForbidden, "User not authorized.")
		}
	}
	if f.surface.strict {
		if fail := unknownQuery(c.query, f.route.query); fail != nil {
			return nil, fail
		}
	}
	if f.route.upload {
		// A package may take longer than a body of JSON.
		c.extend(time.Now().Add(uploadTimeout))
		if c.parts, fail = multipartOf(r); fail != nil {
			return nil, fail
		}
		return f.route.handle(r.Context(), c)
	}
	if c.body, fail = readBody(r, s.cfg.MaxBody); fail != nil {
		return nil, fail
	}
	return f.route.handle(r.Context(), c)
}

func location(path, rawQuery string) string {
	u := url.URL{Path: path, RawQuery: rawQuery}
	return u.String()
}

func noRoute(r *http.Request, f found) *failure {
	if len(f.allow) > 0 {
		slices.Sort(f.allow)
		fail := refuse(http.StatusMethodNotAllowed, idMethod, "Method %s is not allowed here: %s is.", r.Method, strings.Join(f.allow, ", "))
		fail.header = http.Header{"Allow": {strings.Join(f.allow, ", ")}}
		return fail
	}
	return refuse(http.StatusNotFound, idNoRoute, "Not found: %s. What exists is listed at /api/v5_2/openapi.json and /api/fairlead/v1/openapi.json.", r.URL.Path)
}

func readBody(r *http.Request, limit int64) ([]byte, *failure) {
	tooLong := func(n int64) *failure {
		return refuse(http.StatusBadRequest, idTooLarge, "Content length is %d which exceeds the maximum limit of %d.", n, limit)
	}
	if r.ContentLength > limit {
		return nil, tooLong(r.ContentLength)
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, limit+1))
	if err != nil {
		return nil, refuse(http.StatusBadRequest, idBody, "The body could not be read: %s.", err)
	}
	if int64(len(body)) > limit {
		return nil, tooLong(int64(len(body)))
	}
	return body, nil
}

func (a *answer) writeTo(w http.ResponseWriter) error {
	for k, v := range a.header {
		w.Header()[k] = v
	}
	var body []byte
	switch b := a.body.(type) {
	case nil:
	case string:
		body = []byte(b)
	case page:
		w.Header().Set("Content-Type", "text/html; charset=utf-8")
		body = b
	default:
		encoded, err := marshal(b)
		if err != nil {
			w.WriteHeader(http.StatusInternalServerError)
			return fmt.Errorf("encoding a %T: %w", b, err)
		}
		body = encoded
	}
	if a.body != nil && w.Header().Get("Content-Type") == "" {
		w.Header().Set("Content-Type", "application/json")
	}
	w.WriteHeader(a.status)
	// The caller is gone when this fails. What callers sent comes back as JSON, which browsers are told not to sniff.
	_, _ = w.Write(body) //nolint:gosec // see above
	return nil
}

// page is an answer for browsers.
type page []byte

// catchUp is how long a call waits for a view to hear of what another has heard of already, or another replica.
const catchUp = time.Second

// heard waits until a view has a message of which until is true, for a moment. Views of several topics do not move together:
// whoever is told that something is done must find it done.
func (s *Server) heard(ctx context.Context, v View, key string, until func(msg any, ok bool) bool) {
	if m, ok := v.Get(key); until(m, ok) {
		return
	}
	ctx, cancel := s.until(ctx, catchUp)
	defer cancel()
	_, _ = v.WaitKey(ctx, key, until) // what the view says then is what counts
}

// until returns a context that ends with the request, after d, or when the server drains.
func (s *Server) until(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(ctx, d)
	stop := context.AfterFunc(s.draining, cancel)
	return ctx, func() { stop(); cancel() }
}
