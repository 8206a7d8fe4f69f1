package topics

// Explanations tells for each stable id what happened and what to do, for `fairlead explain`.
func Explanations() map[string]string {
	return map[string]string{
		RefusedPartitions: "A topic has another number of partitions than is wanted, and it cannot be changed: Kafka takes none away, " +
			"and keys of a set that holds state must stay where they are. Put the number it has into the overrides; over-partition new clusters instead.",
		RefusedReplicas: "A topic has fewer replicas than are wanted. Only a reassignment of its partitions adds some (kafka-reassign-partitions); " +
			"or put the number it has into the overrides.",
		RefusedPrune: "--prune deletes topics that the catalogue does not have. Without the cluster's prefix every topic of every other program looks like one, so nothing was deleted. " +
			"Give the cluster a prefix, or delete by hand.",
		RefusedBrokers: "More replicas are wanted than the cluster has brokers. Add brokers, set replicas in the overrides, or use --profile dev on a laptop.",
		RefusedSchemas: "The cluster has descriptors of a message that this version's are not compatible with: a newer version wrote them, or somebody else. " +
			"`fairlead tail fairlead.schemas --from start` shows what is there. Use the newest version for `fairlead topics apply`.",
		FoundMissing:  "A topic of the catalogue does not exist. `fairlead topics plan` shows what is missing, `fairlead topics apply` makes it.",
		FoundReplicas: "A topic has fewer than three replicas: it cannot lose a broker and stay safe. Add replicas; for a laptop, say so with --profile dev.",
		FoundMinInsync: "min.insync.replicas of a topic is below 2, so that a record counts as written when one broker has it, or as high as its replicas, so that one broker that restarts stops all writes. " +
			"Set 2 with three replicas; `fairlead topics apply` does.",
		FoundUnclean: "unclean.leader.election.enable is true for a topic: a broker that lacks records may become leader, and then they are lost, although they were confirmed. " +
			"Set it to false; `fairlead topics apply` does.",
		FoundDeleteRetention: "delete.retention.ms of a compacted topic is so short that a reader which was away would miss deletions and keep rows for ever. " +
			"`fairlead topics apply` sets seven days.",
		FoundCleanup: "cleanup.policy of a topic is not what its kind needs: a table that is deleted by time loses rows, a stream that is compacted loses events. " +
			"`fairlead topics apply` mends it.",
		FoundRetention: "A group's loop topic has a retention. Only the group itself may trim it, by what it has processed; else due timers are lost. " +
			"`fairlead topics apply` removes the limits.",
		FoundMaxMessage: "max.message.bytes of a topic is below what is written to it, so that large records would be refused in the middle of the work. " +
			"`fairlead topics apply` raises it.",
		FoundPartitions: "Topics of one set have different numbers of partitions, so that a key's table and its inputs are not in the same partition. " +
			"Groups refuse to run. Make them equal before there is data; afterwards only a new cluster helps.",
	}
}
