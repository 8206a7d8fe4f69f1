package pay

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/internal/kafkaadmin"
	"github.com/fairleadio/fairlead/internal/postgres"
	"github.com/fairleadio/fairlead/schemas"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	ledgerv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/ledger/v1"
	tokensv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/tokens/v1"
	uniquenessv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/uniqueness/v1"
	"github.com/fairleadio/fairlead/sdk/ledger"
	"github.com/fairleadio/fairlead/topics"
)

// tokenType is the type of the application's states.
const tokenType = "fairlead.Token"

// schemaOf finds the schema of a virtual node's ledger.
func schemaOf(ctx context.Context, db *postgres.Pool, vnode string) (schema string, err error) {
	err = db.One(ctx, []any{&schema}, "SELECT table_schema FROM information_schema.tables WHERE table_name = 'fl_transaction' AND table_schema ILIKE '%' || $1 || '%'", vnode)
	if err != nil {
		return "", fmt.Errorf("find the schema of %s: %w", vnode, err)
	}
	return schema, nil
}

// readVault reads what a virtual node's database has of the ledger.
func readVault(ctx context.Context, db *postgres.Pool, vnode string) (Vault, error) {
	v := Vault{Txs: map[string]Tx{}, States: map[string]State{}, Balance: map[string]string{}}
	schema, err := schemaOf(ctx, db, vnode)
	if err != nil {
		return v, err
	}
	from := func(table string) string { return " FROM " + postgres.Qualified(schema, table) + " " }
	parts := map[string]*ledgerv1.Transaction{}
	err = db.Each(ctx, func(r postgres.Row) error {
		var id, salt, metadata []byte
		var tx Tx
		if err := r.Scan(&id, &tx.Status, &tx.Filtered, &salt, &metadata); err != nil {
			return err
		}
		name := nameOf(id)
		v.Txs[name] = tx
		if !tx.Filtered {
			p := &ledgerv1.Transaction{Salt: salt}
			for range ledger.Groups {
				p.Groups = append(p.Groups, &ledgerv1.ComponentGroup{})
			}
			p.Groups[ledger.GroupMetadata].Components = [][]byte{metadata}
			parts[name] = p
		}
		return nil
	}, "SELECT t.id, t.status, t.is_filtered, t.salt, m.content"+from("fl_transaction")+"t JOIN "+postgres.Qualified(schema, "fl_metadata")+" m ON m.hash = t.metadata_hash")
	if err != nil {
		return v, fmt.Errorf("read the transactions of %s: %w", vnode, err)
	}
	err = db.Each(ctx, func(r postgres.Row) error {
		var id, content []byte
		var group int
		if err := r.Scan(&id, &group, &content); err != nil {
			return err
		}
		if p := parts[nameOf(id)]; p != nil {
			p.Groups[group].Components = append(p.Groups[group].Components, content)
		}
		return nil
	}, "SELECT transaction_id, group_index, content"+from("fl_component")+"ORDER BY transaction_id, group_index, leaf_index")
	if err != nil {
		return v, fmt.Errorf("read the components of %s: %w", vnode, err)
	}
	for name, p := range parts {
		tx, err := whole(name, v.Txs[name].Status, p)
		if err != nil {
			return v, fmt.Errorf("transaction %s of %s: %w", name, vnode, err)
		}
		v.Txs[name] = tx
	}
	err = db.Each(ctx, func(r postgres.Row) error {
		var id, by []byte
		var index int
		var s State
		if err := r.Scan(&id, &index, &s.Symbol, &s.Amount, &by); err != nil {
			return err
		}
		if len(by) > 0 {
			s.By = nameOf(by)
		}
		v.States[refOf(id, uint32(index))] = s
		return nil
	}, "SELECT transaction_id, leaf_index, token_symbol, token_amount::text, consumed_by"+from("fl_state")+"WHERE token_type = $1", tokenType)
	if err != nil {
		return v, fmt.Errorf("read the states of %s: %w", vnode, err)
	}
	return v, nil
}

// nameOf is an id as texts have it, refOf a state.
func nameOf(id []byte) string { return strings.ToUpper(hex.EncodeToString(id)) }

func refOf(id []byte, index uint32) string { return fmt.Sprintf("%s:%d", nameOf(id), index) }

// whole puts a transaction together, and checks that it is the one of its id.
func whole(name, status string, parts *ledgerv1.Transaction) (Tx, error) {
	encoded, err := schemas.Marshal(parts)
	if err != nil {
		return Tx{}, err
	}
	tx, err := ledger.Decode(encoded)
	if err != nil {
		return Tx{}, err
	}
	if tx.ID().String() != name {
		return Tx{}, fmt.Errorf("what is stored of it is transaction %s", tx.ID())
	}
	c, sum := tx.Content(), sha256.Sum256(encoded)
	out := Tx{Status: status, Bytes: hex.EncodeToString(sum[:]), Until: c.Window.UntilUs}
	for _, ref := range c.Inputs {
		out.Inputs = append(out.Inputs, ref.String())
	}
	for _, s := range c.Outputs {
		o := Output{}
		if s.Token != nil {
			o = Output{s.Token.Symbol, s.Token.Amount, s.Token.Tag}
		}
		out.Outputs = append(out.Outputs, o)
	}
	if len(c.Commands) > 0 {
		out.Command = c.Commands[0].Type
	}
	return out, nil
}

// fold reads what a topic's records come to.
func fold(ctx context.Context, admin *kafkaadmin.Admin, topic string) (map[string][]byte, error) {
	rows := map[string][]byte{}
	err := admin.Read(ctx, kafkaadmin.Range{Topics: []string{topic}}, func(r kafkaadmin.Record) error {
		if delete(rows, string(r.Key)); r.Value != nil {
			rows[string(r.Key)] = r.Value
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", topic, err)
	}
	return rows, nil
}

// readMemory reads what a notary remembers.
func readMemory(ctx context.Context, admin *kafkaadmin.Admin, notary string) (Memory, error) {
	m := Memory{Accepted: map[string]bool{}, Spent: map[string]string{}}
	rows, err := fold(ctx, admin, topics.StoreTopic(topics.UniquenessGroup, topics.UniquenessMemoryStore))
	if err != nil {
		return m, err
	}
	const hash = len(ledger.Hash{})
	for key, value := range rows {
		id := strings.TrimPrefix(key[1:], notary)
		switch {
		case key[0] == 't' && len(id) == hash:
			var row uniquenessv1.Transaction
			if err := proto.Unmarshal(value, &row); err != nil {
				return m, fmt.Errorf("row %q: %w", key, err)
			}
			m.Accepted[nameOf([]byte(id))] = row.GetAnswer().GetResult() == appv1.UniquenessResult_UNIQUENESS_RESULT_ACCEPTED
		case key[0] == 's' && len(id) == hash+4:
			var row uniquenessv1.Spent
			if err := proto.Unmarshal(value, &row); err != nil {
				return m, fmt.Errorf("row %q: %w", key, err)
			}
			m.Spent[refOf([]byte(id[:hash]), binary.BigEndian.Uint32([]byte(id[hash:])))] = nameOf(row.GetBy())
		default:
			return m, fmt.Errorf("the notary's memory has a row %q", key)
		}
	}
	return m, nil
}

// readPools reads what token selection knows; members are by their virtual nodes' short hashes.
func readPools(ctx context.Context, admin *kafkaadmin.Admin, members map[string]string) ([]Pool, error) {
	heads, err := fold(ctx, admin, topics.TableTopic(topics.TokensGroup))
	known, err2 := fold(ctx, admin, topics.StoreTopic(topics.TokensGroup, topics.TokensKnownStore))
	if err := errors.Join(err, err2); err != nil {
		return nil, err
	}
	var out []Pool
	for _, key := range sorted(heads) {
		var head tokensv1.Pool
		if err := proto.Unmarshal(heads[key], &head); err != nil {
			return nil, fmt.Errorf("pool %q: %w", key, err)
		}
		p := Pool{Member: members[head.GetVnode()], Symbol: head.GetPool().GetSymbol(), Complete: head.GetComplete()}
		if err := p.read(key, known); err != nil {
			return nil, err
		}
		if head.GetPool() != nil { // otherwise nothing was ever asked of it
			out = append(out, p)
		}
	}
	return out, nil
}

// read takes the rows of a pool.
func (p *Pool) read(key string, known map[string][]byte) error {
	for row, value := range known {
		if !strings.HasPrefix(row[1:], key+"/") {
			continue
		}
		var err error
		switch row[0] {
		case 't':
			var t tokensv1.Token
			if err = proto.Unmarshal(value, &t); err == nil && !t.GetGone() {
				p.Known = append(p.Known, refOf(t.GetRef().GetTransaction(), t.GetRef().GetIndex()))
			}
		case 'c':
			var c tokensv1.Claim
			err = proto.Unmarshal(value, &c)
			p.Claims = append(p.Claims, c.GetFlowId())
		default:
			p.Waiting++
		}
		if err != nil {
			return fmt.Errorf("row %q of pool %s: %w", row, key, err)
		}
	}
	slices.Sort(p.Known)
	slices.Sort(p.Claims)
	return nil
}
