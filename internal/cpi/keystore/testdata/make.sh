#!/bin/sh
# Makes the key stores of the tests with keytool and openssl. They protect nothing.
set -eu
cd "$(dirname "$0")"
rm -f ./*.pfx ./*.jks ./*.pem
tool() { keytool -storepass changeit -keypass changeit "$@"; }
tool -genkeypair -keystore rsa.pfx -alias signer -keyalg RSA -keysize 2048 -dname "CN=rsa, O=Pay Ltd, L=London, C=GB" -startdate '2026/01/01 00:00:00' -validity 36500
tool -genkeypair -keystore two.pfx -alias first -keyalg EC -groupname secp256r1 -dname "CN=first, O=Pay Ltd, C=GB" -startdate '2026/01/01 00:00:00' -validity 36500
tool -genkeypair -keystore root.pfx -alias root -keyalg EC -groupname secp384r1 -dname "CN=root, O=Pay Ltd, C=GB" -ext bc:c -startdate '2026/01/01 00:00:00' -validity 36500
tool -genkeypair -keystore two.pfx -alias second -keyalg EC -groupname secp256r1 -dname "CN=second, O=Pay Ltd, C=GB" -startdate '2026/01/01 00:00:00' -validity 36500
tool -certreq -keystore two.pfx -alias second | tool -gencert -keystore root.pfx -alias root -rfc -startdate '2026/01/01 00:00:00' -validity 36500 >leaf.tmp
tool -exportcert -keystore root.pfx -alias root -rfc >>leaf.tmp
yes | tool -importcert -keystore two.pfx -alias second -file leaf.tmp
cp rsa.pfx trusted.pfx
tool -exportcert -keystore root.pfx -alias root -rfc >root.tmp
tool -importcert -noprompt -keystore trusted.pfx -alias default-key -file root.tmp
tool -importcert -noprompt -keystore only-trusted.pfx -alias default-key -file root.tmp
keytool -J-Dkeystore.pkcs12.legacy -importkeystore -srckeystore rsa.pfx -srcstorepass changeit -destkeystore legacy.pfx -deststorepass changeit -deststoretype PKCS12
keytool -importkeystore -srckeystore rsa.pfx -srcstorepass changeit -destkeystore old.jks -deststorepass changeit -deststoretype JKS
tool -genkeypair -keystore ed25519.pfx -alias signer -keyalg Ed25519 -dname "CN=ed, O=Pay Ltd, C=GB" -startdate '2026/01/01 00:00:00' -validity 36500
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -noenc -keyout key.pem -out crt.tmp -days 36500 -subj "/C=GB/O=Pay Ltd/CN=openssl"
openssl pkcs12 -export -inkey key.pem -in crt.tmp -name pay -passout pass:secret -out openssl.pfx
openssl pkcs8 -topk8 -in key.pem -passout pass:secret -out encrypted.pem
cat crt.tmp >>key.pem
rm -f ./*.tmp root.pfx
