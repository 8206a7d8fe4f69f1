package topics

// cryptoTopics are the crypto worker's requests of those who come later than flows and administrators, and its own.
// Replies to the link manager and to membership go to rpc.replies until those workers bring topics of their own.
func cryptoTopics() []Topic {
	request := func(name, doc string, data DataClass, writer string) Topic {
		return Topic{
			Name: name, Doc: doc, Key: "Vault name of the key, or tenant", Type: "fairlead.crypto.v1.Request", Set: CryptoGroup,
			Class: Stream, Data: data, Config: deleted(day), Owner: CryptoGroup, Writers: []string{writer},
			Readers: []Reader{{CryptoGroup, KindInput}}, OutOfRange: Expires, Replay: ReplayRead, Replies: []string{RpcReplies},
		}
	}
	own := group{name: CryptoGroup, data: Tenant}
	return append(own.always(),
		request(CryptoTLS, "TLS 1.3 handshakes that gateways want signed.", Operational, GatewayWorker),
		request(CryptoLink, "Handshakes that link managers want signed.", Operational, LinkManagerWorker),
		request(CryptoMembers, "What membership asks of keys.", Tenant, MembershipWorker),
		own.loop("", Tenant),
		own.store(CryptoKeysStore, "fairlead.crypto.v1.KeyReservation", "The keys of each tenant, by alias and by key id."),
	)
}
