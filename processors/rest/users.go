package rest

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/fairleadio/fairlead/identity"
	"github.com/fairleadio/fairlead/internal/rbac"
	"github.com/fairleadio/fairlead/schemas"
	dbv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/db/v1"
	rbacv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rbac/v1"
	rpcv1 "github.com/fairleadio/fairlead/schemas/gen/fairlead/rpc/v1"
	"github.com/fairleadio/fairlead/topics"
)

// This file holds users, roles and permissions: reads from the views, changes through the database worker.

// Names of variables in paths.
const (
	varLogin      = "loginname"
	varRole       = "roleid"
	varPermission = "permissionid"
	varID         = "id"
)

// How long a password lasts that its owner chose, and one that somebody else chose (Corda's corda.rbac.password).
const (
	ownPasswordLasts   = 90 * 24 * time.Hour
	givenPasswordLasts = 7 * 24 * time.Hour
)

func (s *Server) userRoutes() []route {
	return []route{
		{method: http.MethodPost, pattern: "/user", handle: s.createUser},
		{method: http.MethodPost, pattern: "/user/selfpassword", handle: s.changeOwnPassword},
		{method: http.MethodPost, pattern: "/user/otheruserpassword", handle: s.changePassword},
		{method: http.MethodGet, pattern: "/user/{loginname}", handle: s.getUser},
		{method: http.MethodGet, pattern: "/user/{loginname}/permissionsummary", handle: s.permissionSummary},
		{method: http.MethodPut, pattern: "/user/{loginname}/role/{roleid}", handle: s.userRole(true)},
		{method: http.MethodDelete, pattern: "/user/{loginname}/role/{roleid}", handle: s.userRole(false)},
		{method: http.MethodGet, pattern: "/role", handle: s.listRoles},
		{method: http.MethodPost, pattern: "/role", handle: s.createRole},
		{method: http.MethodGet, pattern: "/role/{id}", handle: s.getRole},
		{method: http.MethodPut, pattern: "/role/{roleid}/permission/{permissionid}", handle: s.rolePermission(true)},
		{method: http.MethodDelete, pattern: "/role/{roleid}/permission/{permissionid}", handle: s.rolePermission(false)},
		{
			method: http.MethodGet, pattern: "/permission",
			query:  []string{"limit", "permissiontype", "groupvisibility", "virtualnode", "permissionstringprefix"},
			handle: s.listPermissions,
		},
		{method: http.MethodPost, pattern: "/permission", handle: s.createPermission},
		{method: http.MethodPost, pattern: "/permission/bulk", handle: s.createPermissions},
		{method: http.MethodGet, pattern: "/permission/{id}", handle: s.getPermission},
	}
}

// change asks the database worker for a change of one entity.
func (s *Server) change(ctx context.Context, c *call, entity string, r *dbv1.Request) (*rpcv1.Reply, *failure) {
	r.Actor = c.user
	return s.ask(ctx, c, Request{Topic: topics.DbRequests, Key: entity, Msg: r, Codec: schemas.Codec[*dbv1.Request]()})
}

// changeInto is change with a result of one type, which toJSON makes the answer's body of.
func changeInto[T proto.Message](ctx context.Context, s *Server, c *call, entity string, r *dbv1.Request, into T, status int, toJSON func(T) any) (*answer, *failure) {
	reply, fail := s.change(ctx, c, entity, r)
	if fail != nil {
		return nil, fail
	}
	m, fail := result(reply, into)
	if fail != nil {
		return nil, fail
	}
	return &answer{status: status, body: toJSON(m)}, nil
}

// roleAssociation is Corda's RoleAssociationResponseType.
type roleAssociation struct {
	RoleID string `json:"roleId"`
	Since  string `json:"createTimestamp"`
}

// userResponse is Corda's UserResponseType.
type userResponse struct {
	ID             string            `json:"id"`
	Version        uint64            `json:"version"`
	UpdatedAt      string            `json:"updateTimestamp"`
	FullName       string            `json:"fullName"`
	LoginName      string            `json:"loginName"`
	Enabled        bool              `json:"enabled"`
	SSOAuth        bool              `json:"ssoAuth"`
	PasswordExpiry *string           `json:"passwordExpiry"`
	ParentGroup    *string           `json:"parentGroup"`
	Properties     []struct{}        `json:"properties"`
	Roles          []roleAssociation `json:"roleAssociations"`
}

func toUser(u *rbacv1.User) any {
	out := userResponse{
		ID: identity.V5(identity.Namespace(), []byte("user/"+u.GetLoginName())).String(), Version: u.GetVersion(), UpdatedAt: instant(u.GetUpdatedAtUs()),
		FullName: u.GetFullName(), LoginName: u.GetLoginName(), Enabled: u.GetEnabled(), ParentGroup: pointer(u.GetParentGroup()),
		Properties: []struct{}{}, Roles: []roleAssociation{},
	}
	if at := u.GetPasswordExpiresAtUs(); at != 0 {
		out.PasswordExpiry = pointer(instant(at))
	}
	for i, id := range u.GetRoleIds() {
		out.Roles = append(out.Roles, roleAssociation{id, instant(at(u.GetRoleSinceUs(), i))})
	}
	return out
}

// at is the i-th of the times that stand beside a list; zero when the list is older than the times.
func at(times []int64, i int) int64 {
	if i < len(times) {
		return times[i]
	}
	return 0
}

const loginNamePattern = `[-._@a-zA-Z0-9]{3,255}`

func matches(pattern, s string) bool {
	ok, err := regexp.MatchString("^(?:"+pattern+")$", s)
	return err == nil && ok
}

func (s *Server) createUser(ctx context.Context, c *call) (*answer, *failure) {
	const parameter = "createUserType"
	m, fail := bodyObject(c.body, parameter)
	if fail != nil {
		return nil, fail
	}
	r := &dbv1.CreateUser{}
	var password, expiry string
	fail = m.read(parameter,
		needed("enabled", &r.Enabled), needed("fullName", &r.FullName), needed("loginName", &r.LoginName),
		optional("initialPassword", &password), optional("passwordExpiry", &expiry), optional("parentGroup", &r.ParentGroup))
	if fail != nil {
		return nil, fail
	}
	if !matches(loginNamePattern, r.GetLoginName()) {
		return nil, refuse(http.StatusBadRequest, idParameter, "loginName '%s' must conform to the pattern %s.", r.GetLoginName(), loginNamePattern)
	}
	r.LoginName = strings.ToLower(r.GetLoginName())
	if password != "" {
		if r.PasswordHash, fail = s.hash(ctx, password); fail != nil {
			return nil, fail
		}
	}
	if expiry != "" {
		t, err := time.Parse(time.RFC3339Nano, expiry)
		if err != nil {
			return nil, unreadable(parameter, "InvalidFormat", "member %q is %q: an instant such as 2027-01-31T00:00:00Z is needed", "passwordExpiry", expiry)
		}
		r.PasswordExpiresAtUs = t.UnixMicro()
	}
	return changeInto(ctx, s, c, userEntity(r.GetLoginName()), &dbv1.Request{Operation: &dbv1.Request_CreateUser{CreateUser: r}}, &rbacv1.User{}, http.StatusCreated, toUser)
}

func userEntity(login string) string { return "user/" + login }
func roleEntity(id string) string    { return "role/" + id }

// maxPassword bounds a password in characters, as Corda does.
const maxPassword = 255

// hash makes the hash of a new password, so that no password ever crosses a topic.
func (s *Server) hash(ctx context.Context, password string) (string, *failure) {
	if len(password) > maxPassword {
		return "", refuse(http.StatusBadRequest, idParameter, "The password has more than %d characters.", maxPassword)
	}
	release, fail := s.auth.slot(ctx)
	if fail != nil {
		return "", fail
	}
	defer release()
	h, err := rbac.Hash(password, rbac.DefaultCost())
	if err != nil {
		return "", refuse(http.StatusInternalServerError, idInternal, "The password could not be hashed: %s.", err)
	}
	return h, nil
}

func (s *Server) changeOwnPassword(ctx context.Context, c *call) (*answer, *failure) {
	const parameter = "password"
	m, fail := parseObject(c.body, parameter)
	if fail != nil {
		return nil, fail
	}
	var password string
	if fail := m.read(parameter, needed("password", &password)); fail != nil {
		return nil, fail
	}
	return s.setPassword(ctx, c, c.user, password, ownPasswordLasts)
}

func (s *Server) changePassword(ctx context.Context, c *call) (*answer, *failure) {
	const parameter = "username"
	m, fail := parseObject(c.body, parameter)
	if fail != nil {
		return nil, fail
	}
	var login, password string
	if fail := m.read(parameter, needed("username", &login), needed("password", &password)); fail != nil {
		return nil, fail
	}
	return s.setPassword(ctx, c, strings.ToLower(login), password, givenPasswordLasts)
}

func (s *Server) setPassword(ctx context.Context, c *call, login, password string, lasts time.Duration) (*answer, *failure) {
	if password == "" {
		return nil, refuse(http.StatusBadRequest, idParameter, "The password is empty.")
	}
	hash, fail := s.hash(ctx, password)
	if fail != nil {
		return nil, fail
	}
	r := &dbv1.ChangePassword{LoginName: login, PasswordHash: hash, PasswordExpiresAtUs: c.now.Add(lasts).UnixMicro()}
	return changeInto(ctx, s, c, userEntity(login), &dbv1.Request{Operation: &dbv1.Request_ChangePassword{ChangePassword: r}}, &rbacv1.User{}, http.StatusOK, toUser)
}

func (s *Server) user(c *call) (*rbacv1.User, *failure) {
	login := strings.ToLower(c.vars[varLogin])
	u, ok := s.parts.Views.User(login)
	if !ok {
		return nil, refuse(http.StatusNotFound, idNoEntity, "User '%s' not found.", login)
	}
	return u, nil
}

func (s *Server) getUser(_ context.Context, c *call) (*answer, *failure) {
	u, fail := s.user(c)
	if fail != nil {
		return nil, fail
	}
	return &answer{status: http.StatusOK, body: toUser(u)}, nil
}

func (s *Server) userRole(add bool) handler {
	return func(ctx context.Context, c *call) (*answer, *failure) {
		login := strings.ToLower(c.vars[varLogin])
		r := &dbv1.UserRole{LoginName: login, RoleId: c.vars[varRole]}
		request := &dbv1.Request{Operation: &dbv1.Request_AddUserRole{AddUserRole: r}}
		if !add {
			request.Operation = &dbv1.Request_RemoveUserRole{RemoveUserRole: r}
		}
		return changeInto(ctx, s, c, userEntity(login), request, &rbacv1.User{}, http.StatusOK, toUser)
	}
}

// permissionSummaryItem is Corda's PermissionSummaryResponseType.
type permissionSummaryItem struct {
	ID              string  `json:"id"`
	GroupVisibility *string `json:"groupVisibility"`
	VirtualNode     *string `json:"virtualNode"`
	String          string  `json:"permissionString"`
	Type            string  `json:"permissionType"`
}

// permissionSummaryResponse is Corda's UserPermissionSummaryResponseType.
type permissionSummaryResponse struct {
	Enabled     bool                    `json:"enabled"`
	UpdatedAt   string                  `json:"lastUpdateTimestamp"`
	LoginName   string                  `json:"loginName"`
	Permissions []permissionSummaryItem `json:"permissions"`
}

func (s *Server) permissionSummary(_ context.Context, c *call) (*answer, *failure) {
	u, fail := s.user(c)
	if fail != nil {
		return nil, fail
	}
	out := permissionSummaryResponse{Enabled: u.GetEnabled(), LoginName: u.GetLoginName(), Permissions: []permissionSummaryItem{}}
	latest, seen := u.GetUpdatedAtUs(), map[string]bool{}
	for _, id := range u.GetRoleIds() {
		role, ok := s.parts.Views.Role(id)
		if !ok {
			continue
		}
		latest = max(latest, role.GetUpdatedAtUs())
		for _, p := range role.GetPermissionIds() {
			permission, ok := s.parts.Views.Permission(p)
			if !ok || seen[p] {
				continue
			}
			seen[p] = true
			latest = max(latest, permission.GetUpdatedAtUs())
			out.Permissions = append(out.Permissions, permissionSummaryItem{
				ID: p, GroupVisibility: pointer(permission.GetGroupVisibility()), VirtualNode: pointer(permission.GetVnodeShortHash()),
				String: permission.GetPattern(), Type: effectName(permission.GetEffect()),
			})
		}
	}
	slices.SortFunc(out.Permissions, func(a, b permissionSummaryItem) int { return strings.Compare(a.ID, b.ID) })
	out.UpdatedAt = instant(latest)
	return &answer{status: http.StatusOK, body: out}, nil
}

// permissionAssociation is Corda's PermissionAssociationResponseType.
type permissionAssociation struct {
	ID    string `json:"id"`
	Since string `json:"createdTimestamp"`
}

// roleResponse is Corda's RoleResponseType.
type roleResponse struct {
	ID              string                  `json:"id"`
	Version         uint64                  `json:"version"`
	UpdatedAt       string                  `json:"updateTimestamp"`
	Name            string                  `json:"roleName"`
	GroupVisibility *string                 `json:"groupVisibility"`
	Permissions     []permissionAssociation `json:"permissions"`
}

func toRole(r *rbacv1.Role) any {
	out := roleResponse{
		ID: r.GetId(), Version: r.GetVersion(), UpdatedAt: instant(r.GetUpdatedAtUs()), Name: r.GetName(),
		GroupVisibility: pointer(r.GetGroupVisibility()), Permissions: []permissionAssociation{},
	}
	for i, id := range r.GetPermissionIds() {
		out.Permissions = append(out.Permissions, permissionAssociation{id, instant(at(r.GetPermissionSinceUs(), i))})
	}
	return out
}

func (s *Server) listRoles(context.Context, *call) (*answer, *failure) {
	out := []any{}
	for _, m := range s.parts.Views.Roles.All() {
		if r, ok := m.(*rbacv1.Role); ok {
			out = append(out, toRole(r))
		}
	}
	return &answer{status: http.StatusOK, body: out}, nil
}

func (s *Server) getRole(_ context.Context, c *call) (*answer, *failure) {
	r, ok := s.parts.Views.Role(c.vars[varID])
	if !ok {
		return nil, refuse(http.StatusNotFound, idNoEntity, "Role '%s' not found.", c.vars[varID])
	}
	return &answer{status: http.StatusOK, body: toRole(r)}, nil
}

func (s *Server) createRole(ctx context.Context, c *call) (*answer, *failure) {
	const parameter = "createRoleType"
	m, fail := bodyObject(c.body, parameter)
	if fail != nil {
		return nil, fail
	}
	r := &dbv1.CreateRole{}
	if fail := m.read(parameter, needed("roleName", &r.Name), optional("groupVisibility", &r.GroupVisibility)); fail != nil {
		return nil, fail
	}
	return changeInto(ctx, s, c, roleEntity(r.GetName()), &dbv1.Request{Operation: &dbv1.Request_CreateRole{CreateRole: r}}, &rbacv1.Role{}, http.StatusCreated, toRole)
}

func (s *Server) rolePermission(add bool) handler {
	return func(ctx context.Context, c *call) (*answer, *failure) {
		r := &dbv1.RolePermission{RoleId: c.vars[varRole], PermissionId: c.vars[varPermission]}
		request := &dbv1.Request{Operation: &dbv1.Request_AddRolePermission{AddRolePermission: r}}
		if !add {
			request.Operation = &dbv1.Request_RemoveRolePermission{RemoveRolePermission: r}
		}
		return changeInto(ctx, s, c, roleEntity(r.GetRoleId()), request, &rbacv1.Role{}, http.StatusOK, toRole)
	}
}

// permissionResponse is Corda's PermissionResponseType.
type permissionResponse struct {
	ID              string  `json:"id"`
	Version         uint64  `json:"version"`
	UpdatedAt       string  `json:"updateTimestamp"`
	GroupVisibility *string `json:"groupVisibility"`
	VirtualNode     *string `json:"virtualNode"`
	Type            string  `json:"permissionType"`
	String          string  `json:"permissionString"`
}

func toPermission(p *rbacv1.Permission) any {
	return permissionResponse{
		ID: p.GetId(), Version: p.GetVersion(), UpdatedAt: instant(p.GetUpdatedAtUs()), GroupVisibility: pointer(p.GetGroupVisibility()),
		VirtualNode: pointer(p.GetVnodeShortHash()), Type: effectName(p.GetEffect()), String: p.GetPattern(),
	}
}

const effectPrefix = "PERMISSION_EFFECT_"

func effectName(e rbacv1.PermissionEffect) string {
	return strings.TrimPrefix(e.String(), effectPrefix)
}

func parseEffect(s string) (rbacv1.PermissionEffect, *failure) {
	v := rbacv1.PermissionEffect(rbacv1.PermissionEffect_value[effectPrefix+strings.ToUpper(s)])
	if v == rbacv1.PermissionEffect_PERMISSION_EFFECT_UNSPECIFIED {
		return 0, refuse(http.StatusBadRequest, idParameter, "permissionType '%s' must be ALLOW or DENY.", s)
	}
	return v, nil
}

func readPermission(parameter string, m members) (*dbv1.CreatePermission, *failure) {
	r := &dbv1.CreatePermission{}
	var effect string
	fail := m.read(parameter, needed("permissionType", &effect), needed("permissionString", &r.Pattern),
		optional("groupVisibility", &r.GroupVisibility), optional("virtualNode", &r.VnodeShortHash))
	if fail != nil {
		return nil, fail
	}
	if r.Effect, fail = parseEffect(effect); fail != nil {
		return nil, fail
	}
	if r.GetVnodeShortHash() != "" {
		if r.VnodeShortHash, fail = parseShortHash(r.GetVnodeShortHash()); fail != nil {
			return nil, fail
		}
	}
	if _, err := rbac.Compile(r.GetPattern()); err != nil {
		return nil, refuse(http.StatusBadRequest, idParameter, "permissionString: %s.", err)
	}
	return r, nil
}

func (s *Server) createPermission(ctx context.Context, c *call) (*answer, *failure) {
	const parameter = "createPermissionType"
	m, fail := bodyObject(c.body, parameter)
	if fail != nil {
		return nil, fail
	}
	r, fail := readPermission(parameter, m)
	if fail != nil {
		return nil, fail
	}
	request := &dbv1.Request{Operation: &dbv1.Request_CreatePermission{CreatePermission: r}}
	return changeInto(ctx, s, c, "permission/"+r.GetPattern(), request, &rbacv1.Permission{}, http.StatusCreated, toPermission)
}

// bulkResponse is Corda's BulkCreatePermissionsResponseType.
type bulkResponse struct {
	PermissionIDs []string `json:"permissionIds"`
	RoleIDs       []string `json:"roleIds"`
}

func (s *Server) createPermissions(ctx context.Context, c *call) (*answer, *failure) {
	const parameter = "request"
	m, fail := bodyObject(c.body, parameter)
	if fail != nil {
		return nil, fail
	}
	r := &dbv1.CreatePermissions{}
	var items []members
	if fail := m.read(parameter, needed("permissionsToCreate", &items), needed("roleIds", &r.RoleIds)); fail != nil {
		return nil, fail
	}
	for _, item := range items {
		p, fail := readPermission(parameter, item)
		if fail != nil {
			return nil, fail
		}
		r.Permissions = append(r.Permissions, p)
	}
	request := &dbv1.Request{Operation: &dbv1.Request_CreatePermissions{CreatePermissions: r}}
	return changeInto(ctx, s, c, "permission/bulk", request, &dbv1.CreatedPermissions{}, http.StatusCreated, func(p *dbv1.CreatedPermissions) any {
		return bulkResponse{append([]string{}, p.GetPermissionIds()...), append([]string{}, p.GetRoleIds()...)}
	})
}

func (s *Server) getPermission(_ context.Context, c *call) (*answer, *failure) {
	p, ok := s.parts.Views.Permission(c.vars[varID])
	if !ok {
		return nil, refuse(http.StatusNotFound, idNoEntity, "Permission '%s' not found.", c.vars[varID])
	}
	return &answer{status: http.StatusOK, body: toPermission(p)}, nil
}

// maxPermissions bounds a list of permissions, as Corda does.
const maxPermissions = 1000

func (s *Server) listPermissions(_ context.Context, c *call) (*answer, *failure) {
	limit, err := strconv.Atoi(c.query.Get("limit"))
	if err != nil || limit < 1 || limit > maxPermissions {
		return nil, refuse(http.StatusBadRequest, idParameter, "Query parameter limit '%s' must be a number from 1 to %d.", c.query.Get("limit"), maxPermissions)
	}
	effect, fail := parseEffect(c.query.Get("permissiontype"))
	if fail != nil {
		return nil, fail
	}
	out := []any{}
	for _, m := range s.parts.Views.Permissions.All() {
		p, ok := m.(*rbacv1.Permission)
		if ok && p.GetEffect() == effect && len(out) < limit && wanted(c.query, p) {
			out = append(out, toPermission(p))
		}
	}
	return &answer{status: http.StatusOK, body: out}, nil
}

// wanted tells whether a permission passes the filters of a query.
func wanted(q url.Values, p *rbacv1.Permission) bool {
	return (!q.Has("groupvisibility") || p.GetGroupVisibility() == q.Get("groupvisibility")) &&
		(!q.Has("virtualnode") || strings.EqualFold(p.GetVnodeShortHash(), q.Get("virtualnode"))) &&
		strings.HasPrefix(p.GetPattern(), q.Get("permissionstringprefix"))
}
