package rest

import "crypto/tls"

func load() { _, _ = tls.LoadX509KeyPair("a", "b") }
