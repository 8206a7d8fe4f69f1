package cli_test

import "testing"

func TestWhosePackagesIsTrueOrFalse(t *testing.T) {
	d := &devCluster{t: t, env: map[string]string{"XDG_DATA_HOME": t.TempDir(), "HOME": t.TempDir(), "FAIRLEAD_DATABASE_ANY_SIGNER": "perhaps"}}
	_, errOut := d.run(1, "dev --workers flow,flow-mapper,rest")
	d.want(errOut, `FAIRLEAD_DATABASE_ANY_SIGNER is "perhaps": give true or false`)
	_, errOut = d.run(4, "dev stop") // which needs none
	d.want(errOut, `no cluster runs in`)
}
