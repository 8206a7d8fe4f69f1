package beta

import _ "github.com/IBM/sarama" // want: sarama
