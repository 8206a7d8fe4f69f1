package cpi

// Explanations tells for each stable id what happened and what to do, for `fairlead explain`.
func Explanations() map[string]string {
	return map[string]string{
		ErrNotPackage: "The file is no zip file, or not all of one: it was cut off on its way, something was put behind it, or it is another file. " +
			"Compare its SHA-256 with that of who made it and get it again.",
		ErrLayout: "The file is a zip file and not one as fairlead writes it: it has comments, extra fields, links, gaps, overlapping entries, or was packed by another tool. " +
			"A package has exactly one reading, so everything else that zip allows is refused. Make it with `fairlead app build` and `fairlead app package`.",
		ErrName: "The name of a file in the package could mean another file on some system: it leads out of the folder, is absolute, or has characters that are not allowed. " +
			"Names are letters and digits of ASCII, . _ - + and space, in folders separated by /.",
		ErrDuplicate: "Two files of the package have one name, or names that differ only in upper and lower case. Rename one of them and make the package again.",
		ErrTooLarge: "A size or a count is over its limit: 256 MiB for a package, 10,000 files, 128 MiB for a file, 512 MiB inflated together, 200 times the compressed size for a file over 1 MiB; " +
			"64 MiB for a module, 4 MiB for a migration, 1 MiB for a group policy, 16 signatures. Nothing was inflated.",
		ErrCorrupt: "The compressed data of a file in the package is damaged or has another size than declared. Get the package again.",
		ErrManifest: "The manifest of the package, or its list of declarations, is missing, damaged or not in the one form that is allowed. " +
			"Packages of Corda (JAR files) end here, too: their code is for the JVM. Make the package with `fairlead app build` and `fairlead app package`.",
		ErrFormat:   "The package was made by a version of fairlead with another package format. Use that version's cluster, or make the package anew with this one's tools.",
		ErrUnlisted: "The package has a file that its manifest does not list: it was added after the package was made, and no signature covers it. Get the package again from who made it.",
		ErrMissing:  "The package lacks a file that its manifest lists or that its kind must have. Get it again from who made it; a CPI without a CPB is only for the manager of a group.",
		ErrContent:  "A file of the package has other content than its manifest says: it was changed after the package was made. Get the package again from who made it.",
		ErrUnsigned: "The package, or one within it, has no signature. `fairlead app package sign` signs it; create-cpb and create-cpi sign what they make.",
		ErrSignature: "A signature of the package does not fit its manifest, is damaged, or is of a kind that is not taken: PKCS#7, detached, one signer each, SHA-256 or better, RSA or ECDSA. " +
			"The package was changed after it was signed, or the signature was moved from another one. Get it again, or sign it anew.",
		ErrUntrusted: "The signature is right, and neither its certificate nor that of its issuer is trusted here. " +
			"If you know the signer, import the certificate (`fairlead cert import code-signer NAME FILE`) and upload again. `fairlead dev` takes any signer unless FAIRLEAD_DATABASE_ANY_SIGNER is false; then it trusts the key of --ephemeral-key.",
		ErrExpired: "The certificate of a signer, or of its issuer, is not valid now. Packages that are installed already stay. " +
			"Renew the certificate and sign again: with the same subject the signer stays the same one (its summary hash does not change).",
		ErrNested: "The packages within do not fit together: one lies in the wrong place or is compressed, or two of them have the same name, flow, table, query or channel. " +
			"Rename what is there twice, or leave one out.",
		ErrDeclaration: "The application declares something that cannot be: the message names each table, query, channel, flow or migration and what is wrong with it. Correct fairlead.yaml and build again.",
		ErrGroupPolicy: "The group policy of the CPI is wrong: the message names each field. `fairlead app group-policy --member X500…` writes a right one: " +
			"that of a static network, which lists its members and has no mgmInfo. There is no manager of groups yet; Corda's policies for one (groupId CREATE_ID) and of one (with mgmInfo) are " +
			"checked and taken, and nobody registers with them.",
		ErrKind: "The package is of another kind than is needed here. CPKs (of `fairlead app build`) are bundled to a CPB by `fairlead app package create-cpb`, " +
			"and a CPB becomes a CPI, which is what a cluster takes, by `create-cpi` with a group policy.",
		ErrModule: "A module of the package is no WebAssembly module, or none that a cluster runs: the message says which import, export or limit is in the way. " +
			"Build it with `fairlead app build`, with the SDK of the cluster's version.",
		ErrIncompatible: "A new version of the application cannot take the place of the old one: it changed a migration that has run, or lacks something that the old one has and others may use. " +
			"The message names it. Add a migration instead of changing one; keep old flows, protocol versions, columns and parameters until nobody uses them.",
	}
}
