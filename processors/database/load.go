package database

import (
	"context"
	"strings"

	"github.com/fairleadio/fairlead/internal/clusterdb"
	"github.com/fairleadio/fairlead/internal/postgres"
	"github.com/fairleadio/fairlead/internal/rows"
	"github.com/fairleadio/fairlead/internal/vaultdb"
	appv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/app/v1"
	dbv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/db/v1"
	rbacv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rbac/v1"
)

// loader reads what an event concerns, in the event's transaction.
type loader struct {
	ctx context.Context
	q   postgres.Queryer
	s   State
	err error
}

// try runs a read unless one before it failed.
func (l *loader) try(read func() error) {
	if l.err == nil {
		l.err = read()
	}
}

func (l *loader) user(login string, roles ...string) {
	l.try(func() (err error) {
		l.s.User, l.s.Credential, err = clusterdb.User(l.ctx, l.q, strings.ToLower(login))
		return err
	})
	l.roles(roles...)
}

func (l *loader) roles(ids ...string) {
	l.s.Roles = map[string]*rbacv1.Role{}
	for _, id := range ids {
		l.try(func() error {
			r, err := clusterdb.Role(l.ctx, l.q, id)
			if r != nil {
				l.s.Roles[id] = r
			}
			return err
		})
	}
}

func (l *loader) permission(id string) {
	l.s.Permissions = map[string]*rbacv1.Permission{}
	l.try(func() error {
		p, err := clusterdb.Permission(l.ctx, l.q, id)
		if p != nil {
			l.s.Permissions[id] = p
		}
		return err
	})
}

func (l *loader) cpi(checksum string) {
	l.try(func() (err error) {
		l.s.Cpi, err = clusterdb.Cpi(l.ctx, l.q, strings.ToUpper(checksum))
		return err
	})
}

// node reads a virtual node and the package that it has.
func (l *loader) node(shortHash string) {
	l.try(func() (err error) {
		l.s.VirtualNode, err = clusterdb.VirtualNode(l.ctx, l.q, strings.ToUpper(shortHash))
		return err
	})
	l.try(func() (err error) {
		if l.s.VirtualNode != nil {
			l.s.Present, err = clusterdb.Cpi(l.ctx, l.q, l.s.VirtualNode.GetCpiChecksum())
		}
		return err
	})
}

func (l *loader) operation(id string) {
	l.try(func() (err error) {
		l.s.Operation, err = clusterdb.GetOperation(l.ctx, l.q, id)
		return err
	})
}

func (l *loader) routes() {
	l.try(func() (err error) {
		l.s.Routes, err = clusterdb.Config(l.ctx, l.q, RoutesSection)
		return err
	})
}

// load reads what a request concerns. Pending and the sealed connections come from elsewhere: see [Worker].
func load(ctx context.Context, q postgres.Queryer, e Asked) (State, error) {
	l := &loader{ctx: ctx, q: q}
	switch op := e.Request.GetOperation().(type) {
	case *dbv1.Request_PutConfig:
		l.try(func() (err error) {
			l.s.Config, err = clusterdb.Config(ctx, q, op.PutConfig.GetSection())
			return err
		})
	case *dbv1.Request_CreateUser:
		l.user(op.CreateUser.GetLoginName())
	case *dbv1.Request_ChangePassword:
		l.user(op.ChangePassword.GetLoginName())
	case *dbv1.Request_AddUserRole:
		l.user(op.AddUserRole.GetLoginName(), op.AddUserRole.GetRoleId())
	case *dbv1.Request_RemoveUserRole:
		l.user(op.RemoveUserRole.GetLoginName(), op.RemoveUserRole.GetRoleId())
	case *dbv1.Request_CreateRole:
		l.try(func() (err error) {
			l.s.RoleTaken, err = clusterdb.RoleNamed(ctx, q, op.CreateRole.GetName(), op.CreateRole.GetGroupVisibility())
			return err
		})
	case *dbv1.Request_AddRolePermission:
		l.roles(op.AddRolePermission.GetRoleId())
		l.permission(op.AddRolePermission.GetPermissionId())
	case *dbv1.Request_RemoveRolePermission:
		l.roles(op.RemoveRolePermission.GetRoleId())
		l.permission(op.RemoveRolePermission.GetPermissionId())
	case *dbv1.Request_CreatePermissions:
		l.roles(op.CreatePermissions.GetRoleIds()...)
	case *dbv1.Request_CreateVirtualNode:
		l.cpi(op.CreateVirtualNode.GetCpiChecksum())
		if l.s.Cpi != nil {
			if h, err := holdingOf(op.CreateVirtualNode.GetX500Name(), l.s.Cpi, e.ID); err == nil {
				l.node(h.ShortHash())
				l.operation(h.ShortHash())
			}
		}
		l.routes()
	case *dbv1.Request_SetVirtualNodeState:
		l.node(op.SetVirtualNodeState.GetShortHash())
	case *dbv1.Request_UpgradeVirtualNode:
		l.node(op.UpgradeVirtualNode.GetShortHash())
		l.cpi(op.UpgradeVirtualNode.GetCpiChecksum())
		l.routes()
		if l.s.VirtualNode != nil && l.s.Cpi != nil {
			l.operation(upgradeID(l.s.VirtualNode, l.s.Cpi.GetChecksum()))
		}
	case *dbv1.Request_UpdateVirtualNodeDb:
		l.node(op.UpdateVirtualNodeDb.GetShortHash())
	case *dbv1.Request_ResyncVault:
		l.node(op.ResyncVault.GetShortHash())
	case *dbv1.Request_SchemaSql:
		l.schemaSQL(op.SchemaSql)
	case *dbv1.Request_ImportCertificate:
		if v := op.ImportCertificate.GetVnode(); v != "" {
			l.node(v)
		}
	case *dbv1.Request_ListCertificates:
		l.try(func() (err error) {
			l.s.Aliases, err = clusterdb.CertificateAliases(ctx, q, op.ListCertificates.GetUsage(), op.ListCertificates.GetVnode())
			return err
		})
	case *dbv1.Request_GetCertificate:
		c := op.GetCertificate
		l.try(func() (err error) {
			l.s.Chain, err = clusterdb.Certificate(ctx, q, c.GetUsage(), c.GetVnode(), c.GetAlias())
			return err
		})
	case *dbv1.Request_Republish:
		l.republish(op.Republish)
	}
	return l.s, l.err
}

func (l *loader) republish(r *dbv1.Republish) {
	if EntityOf(r.GetTopic(), r.GetKey()) == "" {
		l.err = invalid(ErrMalformed, "topic %q is not one that the database worker writes", r.GetTopic())
		return
	}
	if EntityOf(r.GetTopic(), "") == "operation/" {
		l.operation(r.GetKey())
	}
	l.try(func() (err error) {
		l.s.Row, l.s.Version, err = clusterdb.Row(l.ctx, l.q, r.GetTopic(), r.GetKey())
		return err
	})
}

// schemaSQL makes the text that an administrator runs: all of a package's schema; or, for a virtual node, the platform's
// part, in case its schema is of an older version, and what another package has beyond the present one.
func (l *loader) schemaSQL(r *dbv1.SchemaSql) {
	h := vaultdb.ByHand{Schema: "vault", Renamed: true}
	checksum := r.GetCpiChecksum()
	if r.GetShortHash() != "" {
		l.node(r.GetShortHash())
		if l.s.VirtualNode != nil {
			h.Schema, h.Renamed = l.schemaOf(l.s.VirtualNode.GetShortHash()), false
			if checksum == "" {
				checksum = l.s.VirtualNode.GetCpiChecksum()
			}
		}
	}
	if checksum != "" {
		l.cpi(checksum)
	}
	if l.s.Cpi != nil {
		l.try(func() (err error) {
			h.Application, err = clusterdb.CpiMigrations(l.ctx, l.q, l.s.Cpi.GetChecksum())
			return err
		})
		l.try(func() (err error) {
			h.Declared, err = rows.CompilePackage(l.s.Cpi)
			return err
		})
	}
	l.try(func() (err error) {
		if l.s.Present != nil && l.s.Present.GetChecksum() != l.s.Cpi.GetChecksum() {
			if h.Application, err = l.without(h.Application, l.s.Present.GetChecksum()); err != nil {
				return err
			}
		}
		l.s.SQL, err = h.SQL()
		return err
	})
}

// schemaOf returns the name of the schema that a virtual node has.
func (l *loader) schemaOf(shortHash string) string {
	name := vaultdb.NamesOf(shortHash, "").Schema
	l.try(func() error {
		c, err := clusterdb.Connection(l.ctx, l.q, shortHash, clusterdb.DML)
		if c != nil && c.Schema != "" {
			name = c.Schema
		}
		return err
	})
	return name
}

// without leaves out the migrations that another package has, too.
func (l *loader) without(all []clusterdb.Migrations, checksum string) ([]clusterdb.Migrations, error) {
	have, err := clusterdb.CpiMigrations(l.ctx, l.q, checksum)
	if err != nil {
		return nil, err
	}
	ran := map[string]bool{}
	for _, m := range have {
		for _, x := range m.List {
			ran[m.Cpk+"\x00"+x.Name] = true
		}
	}
	var out []clusterdb.Migrations
	for _, m := range all {
		left := clusterdb.Migrations{Cpk: m.Cpk}
		for _, x := range m.List {
			if !ran[m.Cpk+"\x00"+x.Name] {
				left.List = append(left.List, x)
			}
		}
		if len(left.List) > 0 {
			out = append(out, left)
		}
	}
	return out, nil
}

// loadOperation reads an operation and what the end of its present step needs.
func loadOperation(ctx context.Context, q postgres.Queryer, id string) (State, error) {
	l := &loader{ctx: ctx, q: q}
	l.operation(id)
	op := l.s.Operation
	if op == nil || l.err != nil {
		return l.s, l.err
	}
	if op.Work.Checksum != "" {
		l.cpi(op.Work.Checksum)
	}
	if n := op.Work.Code; n != nil {
		l.node(n.Vnode)
		l.code(op.Entity, n.Vnode)
	}
	if op.Work.ShortHash != "" {
		l.node(op.Work.ShortHash)
		l.routes()
	}
	return l.s, l.err
}

// code reads a package of code, and how much the flows of a virtual node have brought.
func (l *loader) code(key, vnode string) {
	l.try(func() (err error) {
		l.s.Code, err = clusterdb.Code(l.ctx, l.q, key)
		return err
	})
	l.try(func() (err error) {
		l.s.Given, err = clusterdb.GivenBytes(l.ctx, l.q, vnode)
		return err
	})
	l.try(func() (err error) {
		l.s.Received, err = clusterdb.ReceivedBytes(l.ctx, l.q, vnode)
		return err
	})
}

// loadPackage reads what a request about packages of code concerns.
func loadPackage(ctx context.Context, q postgres.Queryer, e PackageAsked) (State, error) {
	l := &loader{ctx: ctx, q: q}
	switch op := e.Request.GetOperation().GetOperation().(type) {
	case *appv1.PackageRequest_FindMissing:
		l.try(func() (err error) {
			var keys []string
			for _, sum := range op.FindMissing.GetChecksums()[:min(maxMissing, len(op.FindMissing.GetChecksums()))] {
				keys = append(keys, clusterdb.CodeKey(sum))
			}
			l.s.Files, err = clusterdb.CodeFiles(ctx, q, keys)
			return err
		})
	case *appv1.PackageRequest_Read:
		l.node(e.Request.GetVnode())
		l.try(func() (err error) {
			l.s.Code, err = clusterdb.Code(ctx, q, e.Key)
			return err
		})
		l.try(func() (err error) {
			l.s.Data, err = clusterdb.CodePart(ctx, q, e.Key, op.Read.GetPart())
			return err
		})
	case *appv1.PackageRequest_Put:
		l.node(e.Request.GetVnode())
		l.code(e.Key, e.Request.GetVnode())
		l.try(func() (err error) {
			l.s.Telling, err = clusterdb.CodeTelling(ctx, q, e.Key)
			return err
		})
		id := givenID(e.Request)
		l.operation(id)
		l.try(func() (err error) {
			l.s.Parts, err = clusterdb.UploadParts(ctx, q, id, op.Put.GetPart())
			return err
		})
		if op.Put.GetPart() == 0 && op.Put.GetParts() > 1 {
			l.try(func() (err error) {
				l.s.Coming, err = clusterdb.GivenEarlier(ctx, q, id, e.Request.GetVnode(), e.Key)
				return err
			})
		}
	}
	return l.s, l.err
}

// sameName reads what decides whether a package may be stored.
func (l *loader) sameName(name, version, checksum string) {
	l.try(func() (err error) {
		l.s.SameName, err = clusterdb.CpisNamed(l.ctx, l.q, name, version)
		return err
	})
	for _, c := range l.s.SameName {
		l.try(func() error {
			hashes, err := clusterdb.VirtualNodesOf(l.ctx, l.q, c.GetChecksum())
			for _, h := range hashes {
				l.s.UsedBy = append(l.s.UsedBy, Use{h, c.GetChecksum()})
			}
			return err
		})
	}
	l.cpi(checksum)
	l.try(func() (err error) {
		l.s.Version, err = clusterdb.CpiVersion(l.ctx, l.q, checksum)
		return err
	})
}
