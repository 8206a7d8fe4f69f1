package vnodes

import (
	"context"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgconn/ctxwatch"

	"github.com/fairleadio/fairlead/internal/postgres"
)

// conn is a connection of one virtual node.
type conn struct {
	pg         *pgconn.PgConn
	vnode      string
	elsewhere  bool // at a server that the virtual node has for itself
	generation int
	since      time.Time // when it became idle
	// prepared are the names of the statements that the session keeps, by their text and their arguments' types.
	prepared map[string]string
}

// connect logs in.
func (p *Pool) connect(ctx context.Context, vnode string) (*conn, error) {
	login, err := p.cfg.Login(ctx, vnode)
	if err != nil {
		return nil, err
	}
	if login.Elsewhere {
		c, err := p.reach(ctx, login)
		if err != nil {
			return nil, err
		}
		c.vnode = vnode
		return c, nil
	}
	pg, err := p.dial(ctx, login)
	if err != nil {
		return nil, err
	}
	return &conn{pg: pg, vnode: vnode}, nil
}

// connectTimeout bounds a login.
const connectTimeout = 5 * time.Second

func (p *Pool) dial(ctx context.Context, login Login) (*pgconn.PgConn, error) {
	cfg, err := pgconn.ParseConfig(login.URL)
	if err != nil {
		// The driver's own text may quote the URL with a password.
		return nil, errors.New("the URL of the virtual nodes' database cannot be read: write postgres://host:port/database")
	}
	cfg.User, cfg.Password = login.User, login.Password
	cfg.ConnectTimeout = connectTimeout
	cfg.MaxProtocolMessageBodyLen = maxMessage
	// What is given here is what RESET and DISCARD return to, whatever a role's own settings say.
	given := cfg.RuntimeParams
	cfg.RuntimeParams = map[string]string{
		"application_name":              "fairlead-persistence",
		"search_path":                   postgres.Identifier(login.Schema),
		"client_encoding":               "UTF8",
		"timezone":                      "UTC",
		"datestyle":                     "ISO, MDY",
		"intervalstyle":                 "iso_8601",
		"bytea_output":                  "hex",
		"extra_float_digits":            "1",
		"standard_conforming_strings":   "on",
		"default_transaction_isolation": "read committed",
		"default_transaction_read_only": "off",
		"statement_timeout":             millis(p.cfg.StatementTimeout),
		"lock_timeout":                  millis(p.cfg.LockTimeout),
		// A process that freezes with a transaction open holds locks, and all writes of a virtual node with a feed want one.
		"idle_in_transaction_session_timeout": "5000",
		"client_connection_check_interval":    "1000",
	}
	for name, value := range given {
		if strings.HasPrefix(name, "tcp_") {
			cfg.RuntimeParams[name] = value
		}
	}
	postgres.SetKeepalives(cfg.RuntimeParams)
	cfg.BuildContextWatcherHandler = func(c *pgconn.PgConn) ctxwatch.Handler {
		return &pgconn.CancelRequestContextWatcherHandler{Conn: c, DeadlineDelay: p.cfg.CancelPatience}
	}
	made := p.cfg.Connecting(postgres.HostOf(cfg.Host, cfg.Port))
	pg, err := pgconn.ConnectConfig(ctx, cfg)
	made(err)
	if err != nil {
		if ctx.Err() != nil {
			return nil, postgres.Classify("connect to the virtual node's database", ctx.Err())
		}
		var refused *pgconn.PgError
		if errors.As(err, &refused) { // the server spoke: its word counts
			return nil, postgres.Classify("connect to the virtual node's database", refused)
		}
		return nil, postgres.Classify("connect to the virtual node's database", err)
	}
	return pg, nil
}

func millis(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// close ends the connection; a session that is in the middle of something is cancelled.
func (c *conn) close() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = c.pg.Close(ctx) // it is of no use any more, whatever the server says
}

// terminate ends a session that does not heed a cancellation: a function can catch that, but not this. It logs in as
// the same role, which may end its own sessions, and no others.
func (p *Pool) terminate(vnode string, pid uint32) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	log := p.cfg.Log.With("vnode", vnode)
	login, err := p.cfg.Login(ctx, vnode)
	if err == nil {
		var killer *pgconn.PgConn
		if killer, err = p.dial(ctx, login); err == nil {
			_, err = killer.ExecParams(ctx, "SELECT pg_terminate_backend($1)", [][]byte{strconv.AppendUint(nil, uint64(pid), 10)}, []uint32{23}, nil, nil).Close()
			err = errors.Join(err, killer.Close(ctx))
		}
	}
	if err != nil {
		log.Warn("a session that did not heed its cancellation could not be terminated; the server ends it at its own time-out", "pid", pid, "error", err)
		return
	}
	log.Warn("a session that did not heed its cancellation was terminated", "pid", pid)
}
