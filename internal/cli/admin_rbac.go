package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/spf13/cobra"
)

func newRbacCommand(g *Globals) *cobra.Command {
	return groupCommand("rbac", "Users, roles and permissions",
		newUserCreateCommand(g), newPasswordCommand(g),
		restCommand(g, "user LOGIN", "Show a user and all that the user may do", cobra.ExactArgs(1), func(ctx context.Context, c *restClient, args []string) error {
			return g.showUser(ctx, c, args[0])
		}),
		restCommand(g, "roles", "List roles", cobra.NoArgs, func(ctx context.Context, c *restClient, _ []string) error { return g.listRoles(ctx, c) }),
		restCommand(g, "create-role NAME", "Make a role", cobra.ExactArgs(1), func(ctx context.Context, c *restClient, args []string) error {
			return g.mutate("make role "+args[0], func() error {
				return g.made(ctx, c, corda("role"), map[string]any{"roleName": args[0]})
			})
		}),
		newPermissionCommand(g),
		assign(g, "grant LOGIN ROLEID", "Give a role to a user", true, "user", "role"),
		assign(g, "revoke LOGIN ROLEID", "Take a role from a user", false, "user", "role"),
		assign(g, "allow ROLEID PERMISSIONID", "Give a permission to a role", true, "role", "permission"),
		assign(g, "disallow ROLEID PERMISSIONID", "Take a permission from a role", false, "role", "permission"))
}

// made makes something and prints its id.
func (g *Globals) made(ctx context.Context, c *restClient, path string, body any) error {
	var m struct {
		ID string `json:"id"`
	}
	raw, err := c.fetch(ctx, http.MethodPost, path, body, &m)
	if err != nil {
		return err
	}
	return g.show(raw, func() error {
		_, err := fmt.Fprintln(g.Out, m.ID)
		return err
	})
}

// assign joins two things or parts them.
func assign(g *Globals, use, short string, add bool, of, what string) *cobra.Command {
	return restCommand(g, use, short, cobra.ExactArgs(2), func(ctx context.Context, c *restClient, args []string) error {
		if !g.flags.yes { // nobody is asked about what is not there
			for _, path := range []string{corda(of, args[0]), corda(what, args[1])} {
				if _, _, err := c.do(ctx, http.MethodGet, path, nil); exitCode(err) == ExitNotFound {
					return err
				}
			}
		}
		return g.mutate(fmt.Sprintf("%s: %s %s, %s %s", short, of, args[0], what, args[1]), func() error {
			if _, err := c.fetch(ctx, methodOf(add), corda(of, args[0], what, args[1]), nil, nil); err != nil {
				return err
			}
			state := "has"
			if !add {
				state = "has no more"
			}
			return g.say("%s %s %s %s %s", of, args[0], state, what, args[1])
		})
	})
}

// newPassword reads a password that was not given in the environment: one line of standard input.
func (g *Globals) newPassword() (string, error) {
	if p := g.env(envNewPassword); p != "" {
		return p, nil
	}
	line, err := bufio.NewReader(g.In).ReadString('\n')
	password := strings.TrimRight(line, "\r\n")
	if password == "" {
		return "", errors.Join(errors.New("no password: give it in FAIRLEAD_NEW_PASSWORD or as a line on standard input"), err)
	}
	return password, nil
}

func newUserCreateCommand(g *Globals) *cobra.Command {
	var fullName string
	cmd := restCommand(g, "create-user LOGIN", "Make a user", cobra.ExactArgs(1), func(ctx context.Context, c *restClient, args []string) error {
		password, err := g.newPassword()
		if err != nil {
			return err
		}
		return g.mutate("make user "+args[0], func() error {
			return g.made(ctx, c, corda("user"), map[string]any{"loginName": args[0], "fullName": fullName, "enabled": true, "initialPassword": password})
		})
	})
	cmd.Long = "The password is read from FAIRLEAD_NEW_PASSWORD or from a line of standard input, never from the command line."
	cmd.Flags().StringVar(&fullName, "full-name", "", "the user's `name`")
	return cmd
}

func newPasswordCommand(g *Globals) *cobra.Command {
	cmd := restCommand(g, "password [LOGIN]", "Change one's own password, or somebody's", cobra.MaximumNArgs(1), func(ctx context.Context, c *restClient, args []string) error {
		password, err := g.newPassword()
		if err != nil {
			return err
		}
		path, body := corda("user", "selfpassword"), map[string]any{"password": password}
		if len(args) == 1 {
			path, body["username"] = corda("user", "otheruserpassword"), args[0]
		}
		return g.mutate("change the password", func() error {
			if _, err := c.fetch(ctx, http.MethodPost, path, body, nil); err != nil {
				return err
			}
			return g.say("the password is changed")
		})
	})
	cmd.Long = "The password is read from FAIRLEAD_NEW_PASSWORD or from a line of standard input. A password that was set for somebody else lasts a week."
	return cmd
}

func newPermissionCommand(g *Globals) *cobra.Command {
	var deny bool
	var vnode string
	cmd := restCommand(g, "create-permission PATTERN", "Make a permission", cobra.ExactArgs(1), func(ctx context.Context, c *restClient, args []string) error {
		body := map[string]any{"permissionType": "ALLOW", "permissionString": args[0]}
		if deny {
			body["permissionType"] = "DENY"
		}
		if vnode != "" {
			v, err := findVNode(ctx, c, vnode)
			if err != nil {
				return err
			}
			body["virtualNode"] = v.ShortHash
		}
		return g.mutate(fmt.Sprintf("make permission %s %s", body["permissionType"], args[0]), func() error {
			return g.made(ctx, c, corda("permission"), body)
		})
	})
	cmd.Long = "PATTERN is a regular expression that must match METHOD:path[?query], or StartFlow:<class>, as a whole, in any case. DENY wins over ALLOW."
	cmd.Example = `  fairlead rbac create-permission 'StartFlow:pay' --vnode Alice`
	cmd.Flags().BoolVar(&deny, "deny", false, "deny instead of allow")
	cmd.Flags().StringVar(&vnode, "vnode", "", "hold for this `virtual node` only")
	return cmd
}

func (g *Globals) showUser(ctx context.Context, c *restClient, login string) error {
	var u struct {
		LoginName string `json:"loginName"`
		FullName  string `json:"fullName"`
		Enabled   bool   `json:"enabled"`
		Roles     []struct {
			ID string `json:"roleId"`
		} `json:"roleAssociations"`
	}
	raw, err := c.fetch(ctx, http.MethodGet, corda("user", login), nil, &u)
	if err != nil {
		return err
	}
	var may struct {
		Permissions []struct {
			Type   string  `json:"permissionType"`
			String string  `json:"permissionString"`
			Vnode  *string `json:"virtualNode"`
		} `json:"permissions"`
	}
	if _, err := c.get(ctx, corda("user", login, "permissionsummary"), &may); err != nil {
		return err
	}
	return g.show(raw, func() error {
		state := "enabled"
		if !u.Enabled {
			state = "disabled"
		}
		fmt.Fprintf(g.Out, "%s, %s, %s\n", u.LoginName, u.FullName, state)
		for _, r := range u.Roles {
			fmt.Fprintf(g.Out, "role  %s\n", r.ID)
		}
		for _, p := range may.Permissions {
			where := ""
			if p.Vnode != nil {
				where = "  on " + *p.Vnode
			}
			fmt.Fprintf(g.Out, "%-5s %s%s\n", p.Type, p.String, where)
		}
		return nil
	})
}

func (g *Globals) listRoles(ctx context.Context, c *restClient) error {
	var roles []struct {
		ID          string     `json:"id"`
		Name        string     `json:"roleName"`
		Permissions []struct{} `json:"permissions"`
	}
	raw, err := c.fetch(ctx, http.MethodGet, corda("role"), nil, &roles)
	if err != nil {
		return err
	}
	return g.show(raw, func() error {
		rows := [][]string{}
		for _, r := range roles {
			rows = append(rows, []string{r.ID, r.Name, plural(len(r.Permissions), "permission")})
		}
		return g.printTable([]string{"ROLE", "NAME", "PERMISSIONS"}, rows)
	})
}
