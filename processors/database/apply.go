package database

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/internal/clusterdb"
	"github.com/fairleadio/fairlead/internal/postgres"
	dbv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/db/v1"
	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
)

// apply writes the rows of an outcome.
func (w *Worker) apply(ctx context.Context, q postgres.Queryer, o Outcome, nowUs int64) error {
	for _, write := range o.Writes {
		if err := w.write(ctx, q, write, o, nowUs); err != nil {
			return err
		}
	}
	for _, a := range o.Audit {
		if err := clusterdb.PutAudit(ctx, q, a); err != nil {
			return err
		}
	}
	return nil
}

func (w *Worker) write(ctx context.Context, q postgres.Queryer, write Write, o Outcome, nowUs int64) error {
	switch x := write.(type) {
	case PutConfig:
		var sealed []byte
		if x.Submitted != "" {
			var err error
			if sealed, err = w.deps.Key.Seal([]byte(x.Submitted), "config", x.Config.GetSection()); err != nil {
				return err
			}
		}
		return clusterdb.PutConfig(ctx, q, x.Config, sealed)
	case PutUser:
		return clusterdb.PutUser(ctx, q, x.User, x.Credential)
	case PutRole:
		return clusterdb.PutRole(ctx, q, x.Role)
	case PutPermission:
		return clusterdb.PutPermission(ctx, q, x.Permission)
	case PutVirtualNode:
		return clusterdb.PutVirtualNode(ctx, q, x.VirtualNode)
	case PutConnections:
		for _, c := range x.Put {
			if err := clusterdb.PutConnection(ctx, q, x.ShortHash, c); err != nil {
				return err
			}
		}
		for _, role := range x.Drop {
			if err := clusterdb.DropConnection(ctx, q, x.ShortHash, role); err != nil {
				return err
			}
		}
		return nil
	case PutCertificate:
		return clusterdb.PutCertificate(ctx, q, x.Import.GetUsage(), x.Import.GetVnode(), x.Import.GetAlias(), x.Import.GetChain(), nowUs)
	case PutOperation:
		last, err := told(o)
		if err != nil {
			return err
		}
		x.Operation.Last = last
		return clusterdb.PutOperation(ctx, q, x.Operation)
	case PutPart:
		return clusterdb.PutUploadPart(ctx, q, x.Part.GetRequestId(), x.Part.GetPart(), x.Part.GetData())
	case DropUpload:
		return clusterdb.DropUpload(ctx, q, x.Request)
	case PutGivenPart:
		return clusterdb.PutGivenPart(ctx, q, x.Operation, x.Vnode, x.Part, x.Data)
	case PutCode:
		return clusterdb.PutCode(ctx, q, x.Code, x.By)
	case PutPackage:
		for _, c := range x.Code {
			if err := clusterdb.PutCode(ctx, q, c, ""); err != nil {
				return err
			}
		}
		if err := clusterdb.PutCpi(ctx, q, x.Cpi, x.By); err != nil {
			return err
		}
		for _, old := range x.Replaced {
			if err := clusterdb.ReplaceCpi(ctx, q, old, x.Cpi.GetChecksum()); err != nil {
				return err
			}
		}
		return clusterdb.PutMigrations(ctx, q, x.Cpi.GetChecksum(), x.Migrations)
	case MoveVirtualNode:
		v, err := clusterdb.VirtualNode(ctx, q, x.ShortHash)
		if v == nil || err != nil {
			return err
		}
		v.CpiChecksum = x.Checksum
		v.Version++
		return clusterdb.PutVirtualNode(ctx, q, v)
	default:
		return fmt.Errorf("database: no way to write %T", write)
	}
}

// told is what an operation keeps of what its change tells.
func told(o Outcome) (clusterdb.Told, error) {
	t := clusterdb.Told{Out: o.Out}
	if o.ReplyTo == "" || o.Reply == nil {
		return t, nil
	}
	b, err := proto.Marshal(o.Reply)
	if err != nil {
		return t, fmt.Errorf("encode an answer: %w", err)
	}
	t.Reply, t.To, t.Request = b, o.ReplyTo, o.RequestID
	return t, nil
}

// emission is a record that follows a transaction of the database.
type emission struct {
	kind       clusterdb.Kind
	topic, key string
	// msg is nil for a tombstone.
	msg proto.Message
}

// render makes records of what is to be told, from the rows as they are now: never an older version than the topic may
// have.
func render(ctx context.Context, q postgres.Queryer, out []clusterdb.Outbound) ([]emission, error) {
	var all []emission
	for _, o := range out {
		switch o.Kind {
		case clusterdb.Fact:
			m, _, err := clusterdb.Row(ctx, q, o.Topic, o.Key)
			if err != nil {
				return nil, err
			}
			all = append(all, emission{o.Kind, o.Topic, o.Key, m})
		case clusterdb.Republish:
			all = append(all, emission{o.Kind, o.Topic, EntityOf(o.Topic, o.Key), republishRequest(o.Topic, o.Key)})
		case clusterdb.Continue:
			op, err := clusterdb.GetOperation(ctx, q, o.Key)
			if err != nil {
				return nil, err
			}
			if op == nil {
				return nil, fmt.Errorf("operation %s is not in the database", o.Key)
			}
			if op.Final() {
				continue
			}
			all = append(all, emission{o.Kind, "", op.Entity, &dbv1.Continue{Operation: o.Key, Version: op.Status.GetVersion()}})
		default:
			return nil, fmt.Errorf("the outbox has a row of kind %s", o.Kind)
		}
	}
	return all, nil
}

// republishRequest asks the owner of a fact to write it again.
func republishRequest(topic, key string) *dbv1.Request {
	return &dbv1.Request{Actor: "database", Operation: &dbv1.Request_Republish{Republish: &dbv1.Republish{Topic: topic, Key: key}}}
}

// internalReply is the answer when something failed that is not the caller's doing.
func internalReply(err error) *rpcv1.Reply {
	r := asRefusal(err)
	var own *refusal
	if !errors.As(err, &own) {
		r.err.Id, r.err.Message = ErrInternal, "the database worker could not do it; its log says why"
	}
	return r.reply()
}
