package database

import (
	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/internal/clusterdb"
	"github.com/fairleadio/fairlead/internal/sections"
	configv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/config/v1"
	cpiv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/cpi/v1"
	dbv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/db/v1"
	rbacv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rbac/v1"
	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
	vnodev1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/vnode/v1"
)

// State is what an event concerns, as the database has it. Only what the event needs is loaded; what is not there
// is nil.
type State struct {
	Config *configv1.Configuration

	User       *rbacv1.User
	Credential *rbacv1.Credential
	// Roles and Permissions by id. RoleTaken tells that the new role's name is taken.
	Roles       map[string]*rbacv1.Role
	Permissions map[string]*rbacv1.Permission
	RoleTaken   bool

	VirtualNode *vnodev1.VirtualNode
	// Cpi is the package that is asked for, Present the one that the virtual node has.
	Cpi, Present *cpiv1.Cpi
	// SameName are the packages of the same name and version, and UsedBy the virtual nodes that have one of them.
	SameName []*cpiv1.Cpi
	UsedBy   []Use
	// Pending are the application's migrations that have not run in the virtual node's schema.
	Pending []string
	// Routes is the section corda.externalMessaging with defaults.
	Routes *configv1.Configuration

	// Chain and Aliases answer questions for certificates.
	Chain   *string
	Aliases []string
	// SQL answers SchemaSql.
	SQL string
	// Row is what Republish asks for.
	Row     proto.Message
	Version uint64

	// Code is the package of code that is asked about, nil when it is not there, and Data the part of its file that is asked
	// for; Files tells of several which are there.
	Code  *cpiv1.Code
	Data  []byte
	Files map[string]bool
	// Given and Received are how many bytes flows of the virtual node have handed over, of packages that are not whole and of
	// such that were taken; Limits what they may.
	Given, Received uint64
	Limits          CodeLimits
	// Coming: another flow of the virtual node is handing over the same file, and began earlier.
	Coming bool
	// Telling: the package is stored, and those who verify by it are not told yet.
	Telling bool

	Operation *clusterdb.Operation
	// Parts counts the parts of an upload that are there, this one included.
	Parts uint32
}

// Use tells which package a virtual node has.
type Use struct{ ShortHash, Checksum string }

// Event is one thing that happens.
type Event interface{ event() }

// Asked is a record of db.requests.
type Asked struct {
	// Key of the record: the entity.
	Key string
	// ID is the request's; Reply header fl-reply, empty when nobody waits.
	ID, Reply string
	Request   *dbv1.Request
	// Config is what the submitted configuration was found to be, or why it was refused.
	Config    sections.Checked
	ConfigErr error
	// Connections are whether the sealed connections can be opened, and what is wrong.
	Connections    Connections
	ConnectionsErr error
	NowUs          int64
}

// Connections tells which connections a caller gave, and how they differ from what the virtual node has.
type Connections struct {
	DDL, DML bool
	// Moves: the data lies elsewhere than it does now.
	Moves bool
	// Theirs: the virtual node's present schema is one that a caller gave.
	Theirs bool
}

// PartCame is a record of cpi.upload.
type PartCame struct {
	Key   string
	Part  *dbv1.CpiPart
	NowUs int64
}

// StepDone tells how a step of an operation ended.
type StepDone struct {
	Result Result
	NowUs  int64
}

func (Asked) event()    {}
func (PartCame) event() {}
func (StepDone) event() {}

// Result is what a step of an operation found out or made.
type Result struct {
	// Step is the one that ended.
	Step string
	// Err ended the operation.
	Err error
	// Again: the step has more to do, and Stage says what it just did.
	Again bool
	Stage string

	// Package is what an upload holds, Migrations the text of its migrations.
	Package    *cpiv1.Cpi
	Migrations []clusterdb.Migrations
	// Code are its packages of code with contracts, when their files were stored.
	Code []*cpiv1.Code
	// Overridden is what would have refused an operation that is forced.
	Overridden []string
	// Pending are the migrations that a virtual node lacks.
	Pending []string
	// Connections are those of a virtual node's roles.
	Connections []*clusterdb.VaultConnection
	// Dropped are roles that have no connection any more.
	Dropped []clusterdb.RoleName
}

// Write is a row that is written. The rows of one outcome are written in their order.
type Write interface{ write() }

// The writes.
type (
	// PutConfig writes a section; Submitted is what was sent, when it holds secrets, to be sealed.
	PutConfig struct {
		Config    *configv1.Configuration
		Submitted string
	}
	// PutUser writes a user; without Credential the password stays.
	PutUser struct {
		User       *rbacv1.User
		Credential *rbacv1.Credential
	}
	// PutRole writes a role.
	PutRole struct{ Role *rbacv1.Role }
	// PutPermission writes a permission.
	PutPermission struct{ Permission *rbacv1.Permission }
	// PutVirtualNode writes a virtual node.
	PutVirtualNode struct{ VirtualNode *vnodev1.VirtualNode }
	// PutConnections writes and drops the connections of a virtual node.
	PutConnections struct {
		ShortHash string
		Put       []*clusterdb.VaultConnection
		Drop      []clusterdb.RoleName
	}
	// PutCertificate stores a chain.
	PutCertificate struct{ Import *dbv1.ImportCertificate }
	// PutOperation writes an operation.
	PutOperation struct{ Operation *clusterdb.Operation }
	// PutPart keeps a part of an upload, DropUpload forgets all of them.
	PutPart    struct{ Part *dbv1.CpiPart }
	DropUpload struct{ Request string }
	// PutPackage stores an opened package, its parts and migrations. Replaced are the checksums of those that it takes
	// the place of.
	PutPackage struct {
		Cpi      *cpiv1.Cpi
		By       string
		Replaced []string
		// Migrations are the text of its migrations.
		Migrations []clusterdb.Migrations
		// Code are its packages of code with contracts.
		Code []*cpiv1.Code
	}
	// PutGivenPart keeps a part of a package that a flow hands over, and PutCode stores the package; By is the virtual node.
	PutGivenPart struct {
		Operation, Vnode string
		Part             uint32
		Data             []byte
	}
	PutCode struct {
		Code *cpiv1.Code
		By   string
	}
	// MoveVirtualNode puts another package on a virtual node, which keeps all else.
	MoveVirtualNode struct{ ShortHash, Checksum string }
)

func (PutConfig) write()       {}
func (PutUser) write()         {}
func (PutRole) write()         {}
func (PutPermission) write()   {}
func (PutVirtualNode) write()  {}
func (PutConnections) write()  {}
func (PutCertificate) write()  {}
func (PutOperation) write()    {}
func (PutPart) write()         {}
func (DropUpload) write()      {}
func (PutPackage) write()      {}
func (PutGivenPart) write()    {}
func (PutCode) write()         {}
func (MoveVirtualNode) write() {}

// Outcome is what an event does.
type Outcome struct {
	Writes []Write
	// Out is what is told afterwards.
	Out   []clusterdb.Outbound
	Audit []clusterdb.Audit
	// Reply is the answer; nil when nobody gets one now.
	Reply *rpcv1.Reply
	// ReplyTo and RequestID are set when Reply is for an earlier request than the record's own.
	ReplyTo, RequestID string
}

func (o *Outcome) put(w ...Write) { o.Writes = append(o.Writes, w...) }

// fact publishes a row and names it in the reply.
func (o *Outcome) fact(topic, key string, version uint64) {
	o.Out = append(o.Out, clusterdb.Outbound{Kind: clusterdb.Fact, Topic: topic, Key: key})
	o.names(topic, key, version)
}

// elsewhere has a row published under its own entity's key, and names it in the reply.
func (o *Outcome) elsewhere(topic, key string, version uint64) {
	o.Out = append(o.Out, clusterdb.Outbound{Kind: clusterdb.Republish, Topic: topic, Key: key})
	o.names(topic, key, version)
}

func (o *Outcome) names(topic, key string, version uint64) {
	if o.Reply == nil {
		o.Reply = &rpcv1.Reply{Outcome: &rpcv1.Reply_Result{}}
	}
	o.Reply.Facts = append(o.Reply.Facts, &rpcv1.Fact{Topic: topic, Key: key, Version: version, Deleted: version == 0})
}

// next asks for the next step of an operation.
func (o *Outcome) next(operation string) {
	o.Out = append(o.Out, clusterdb.Outbound{Kind: clusterdb.Continue, Key: operation})
}
