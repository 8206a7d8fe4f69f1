package cpi

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/fairleadio/fairlead/identity"
)

// CreateID stands as group id in the policy of a group's manager: the group is made when it registers.
const CreateID = "CREATE_ID"

// Protocols that group policies name; they are Corda's names, so that its policies are taken as they are.
const (
	RegistrationStatic  = "net.corda.membership.impl.registration.staticnetwork.StaticMemberRegistrationService"
	RegistrationDynamic = "net.corda.membership.impl.registration.dynamic.member.DynamicMemberRegistrationService"
	RegistrationManager = "net.corda.membership.impl.registration.dynamic.mgm.MGMRegistrationService"
	syncStatic          = "net.corda.membership.impl.sync.staticnetwork.StaticMemberSyncService"
)

// GroupPolicy is the file GroupPolicy.json of a CPI: which group its virtual nodes belong to, and how they join and talk.
type GroupPolicy struct {
	FileFormatVersion       int                 `json:"fileFormatVersion"`
	GroupID                 string              `json:"groupId"`
	RegistrationProtocol    string              `json:"registrationProtocol"`
	SynchronisationProtocol string              `json:"synchronisationProtocol"`
	ProtocolParameters      *ProtocolParameters `json:"protocolParameters,omitempty"`
	P2PParameters           *P2PParameters      `json:"p2pParameters,omitempty"`
	MGMInfo                 map[string]any      `json:"mgmInfo,omitempty"`
	CipherSuite             map[string]any      `json:"cipherSuite,omitempty"`

	// Raw is the file as it is.
	Raw []byte `json:"-"`
}

// ProtocolParameters are how members use keys and, in a static network, who they are.
type ProtocolParameters struct {
	SessionKeyPolicy string         `json:"sessionKeyPolicy,omitempty"`
	StaticNetwork    *StaticNetwork `json:"staticNetwork,omitempty"`
}

// StaticNetwork is a group whose members are listed, for development and tests: it has no manager.
type StaticNetwork struct {
	// Members have at least the keys name and memberStatus.
	Members         []map[string]any `json:"members"`
	GroupParameters map[string]any   `json:"groupParameters,omitempty"`
	MGM             map[string]any   `json:"mgm,omitempty"`
}

// P2PParameters are how members talk.
type P2PParameters struct {
	SessionPKI                      string   `json:"sessionPki"`
	SessionTrustRoots               []string `json:"sessionTrustRoots,omitempty"`
	TLSTrustRoots                   []string `json:"tlsTrustRoots"`
	TLSPKI                          string   `json:"tlsPki"`
	TLSVersion                      string   `json:"tlsVersion"`
	TLSType                         string   `json:"tlsType,omitempty"`
	ProtocolMode                    string   `json:"protocolMode"`
	MTLSMgmClientCertificateSubject string   `json:"mtlsMgmClientCertificateSubject,omitempty"`
}

// Static tells whether the members are listed in the policy.
func (p *GroupPolicy) Static() bool {
	return p.ProtocolParameters != nil && p.ProtocolParameters.StaticNetwork != nil
}

// ParseGroupPolicy reads and checks a policy. All that is wrong is in the one error.
func ParseGroupPolicy(raw []byte) (*GroupPolicy, error) {
	refuse := func(err error) error {
		return &Error{ID: ErrGroupPolicy, Entry: policyFile, Detail: strings.ReplaceAll(err.Error(), "\n", "; "), Remedy: "correct it, or make another with fairlead app group-policy"}
	}
	if len(raw) > maxPolicy {
		return nil, refuse(fmt.Errorf("it has %d bytes, at most %d are allowed", len(raw), maxPolicy))
	}
	p := &GroupPolicy{Raw: bytes.Clone(raw)}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(p); err != nil {
		return nil, refuse(errors.New(strings.TrimPrefix(err.Error(), "json: ")))
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, refuse(errors.New("there is something behind the JSON value"))
	}
	if err := p.check(); err != nil {
		return nil, refuse(err)
	}
	return p, nil
}

func (p *GroupPolicy) check() error {
	var problems []error
	wrong := func(format string, args ...any) { problems = append(problems, fmt.Errorf(format, args...)) }
	if p.FileFormatVersion != 1 {
		wrong("fileFormatVersion is %d: 1 is needed", p.FileFormatVersion)
	}
	if _, err := identity.ParseUUID(p.GroupID); err != nil && p.GroupID != CreateID {
		wrong("groupId is %q: a UUID is needed, such as 5a5e1c5e-0000-4000-8000-00000000c4a7", p.GroupID)
	}
	if p.RegistrationProtocol == "" {
		wrong("registrationProtocol is missing")
	}
	if p.SynchronisationProtocol == "" {
		wrong("synchronisationProtocol is missing")
	}
	if s := p.sessionKeyPolicy(); s != "" && s != "Combined" && s != "Distinct" {
		wrong("protocolParameters.sessionKeyPolicy is %q: use Combined or Distinct", s)
	}
	switch {
	case p.GroupID == CreateID:
		if p.Static() || len(p.MGMInfo) > 0 {
			wrong("the policy of a group's manager (groupId %s) has no staticNetwork and no mgmInfo", CreateID)
		}
	case p.Static():
		if len(p.MGMInfo) > 0 {
			wrong("a static network has no manager: leave out mgmInfo")
		}
		problems = append(problems, p.ProtocolParameters.StaticNetwork.check())
	default:
		if p.ProtocolParameters == nil {
			wrong("protocolParameters is missing")
		}
		if p.P2PParameters == nil {
			wrong("p2pParameters is missing")
		}
		if len(p.MGMInfo) == 0 {
			wrong("mgmInfo is missing")
		}
		if p.CipherSuite == nil {
			wrong("cipherSuite is missing")
		}
	}
	if p.P2PParameters != nil {
		problems = append(problems, p.P2PParameters.check())
	}
	return errors.Join(problems...)
}

func (p *GroupPolicy) sessionKeyPolicy() string {
	if p.ProtocolParameters == nil {
		return ""
	}
	return p.ProtocolParameters.SessionKeyPolicy
}

func (s *StaticNetwork) check() error {
	var problems []error
	seen := map[string]int{}
	if len(s.Members) == 0 {
		problems = append(problems, errors.New("protocolParameters.staticNetwork.members is empty"))
	}
	for i, m := range s.Members {
		text, _ := m["name"].(string)
		name, err := identity.Canonical(text)
		at := fmt.Sprintf("protocolParameters.staticNetwork.members[%d]", i)
		if err != nil {
			problems = append(problems, fmt.Errorf("%s.name: %w", at, err))
			continue
		}
		if other, ok := seen[name]; ok {
			problems = append(problems, fmt.Errorf("%s.name: %s is also member %d", at, name, other))
		}
		seen[name] = i
		if status, ok := m["memberStatus"].(string); ok && status != "ACTIVE" && status != "SUSPENDED" {
			problems = append(problems, fmt.Errorf("%s.memberStatus is %q: use ACTIVE or SUSPENDED", at, status))
		}
	}
	return errors.Join(problems...)
}

func (p *P2PParameters) check() error {
	var problems []error
	oneOf := func(name, value string, allowed ...string) {
		if !slices.Contains(allowed, value) {
			problems = append(problems, fmt.Errorf("p2pParameters.%s is %q: use %s", name, value, strings.Join(slices.DeleteFunc(allowed, func(s string) bool { return s == "" }), " or ")))
		}
	}
	oneOf("sessionPki", p.SessionPKI, "Standard", "StandardEV3", "Corda4", "NoPKI")
	oneOf("tlsPki", p.TLSPKI, "Standard", "StandardEV3", "Corda4")
	oneOf("tlsVersion", p.TLSVersion, "1.2", "1.3")
	oneOf("protocolMode", p.ProtocolMode, "Authentication", "Authenticated_Encryption", "Authentication_Encryption")
	oneOf("tlsType", p.TLSType, "", "OneWay", "Mutual")
	if p.TLSType == "Mutual" {
		if _, err := identity.ParseName(p.MTLSMgmClientCertificateSubject); err != nil {
			problems = append(problems, fmt.Errorf("p2pParameters.mtlsMgmClientCertificateSubject is needed with tlsType Mutual: %w", err))
		}
	}
	if len(p.TLSTrustRoots) == 0 {
		problems = append(problems, errors.New("p2pParameters.tlsTrustRoots is empty"))
	}
	if len(p.SessionTrustRoots) == 0 && p.SessionPKI != "NoPKI" {
		problems = append(problems, errors.New("p2pParameters.sessionTrustRoots is empty, and sessionPki is not NoPKI"))
	}
	for _, list := range []struct {
		name  string
		roots []string
	}{{"tlsTrustRoots", p.TLSTrustRoots}, {"sessionTrustRoots", p.SessionTrustRoots}} {
		for i, text := range list.roots {
			if err := checkPEM(text); err != nil {
				problems = append(problems, fmt.Errorf("p2pParameters.%s[%d]: %w", list.name, i, err))
			}
		}
	}
	return errors.Join(problems...)
}

func checkPEM(text string) error {
	b, rest := pem.Decode([]byte(text))
	if b == nil || b.Type != "CERTIFICATE" || strings.TrimSpace(string(rest)) != "" {
		return errors.New("one certificate in PEM is needed")
	}
	_, err := x509.ParseCertificate(b.Bytes)
	return err
}

// StaticGroupPolicy makes the policy of a static network of the members: it has no manager, no certificates and no
// addresses, because all members are on one cluster. Members are sorted, so that the same ones make the same policy.
func StaticGroupPolicy(groupID string, members []identity.Name) ([]byte, error) {
	var names []string
	for _, m := range members {
		names = append(names, m.String())
	}
	slices.Sort(names)
	network := &StaticNetwork{Members: []map[string]any{}, GroupParameters: map[string]any{}}
	for _, n := range names {
		network.Members = append(network.Members, map[string]any{"name": n, "memberStatus": "ACTIVE"})
	}
	raw, err := json.MarshalIndent(GroupPolicy{
		FileFormatVersion: 1, GroupID: groupID, RegistrationProtocol: RegistrationStatic, SynchronisationProtocol: syncStatic,
		ProtocolParameters: &ProtocolParameters{SessionKeyPolicy: "Combined", StaticNetwork: network},
	}, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("make the group policy: %w", err)
	}
	raw = append(raw, '\n')
	if _, err := ParseGroupPolicy(raw); err != nil {
		return nil, err
	}
	return raw, nil
}
