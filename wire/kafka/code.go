package kafka

import "strconv"

// Code is an error code of the protocol; 0 is none.
type Code int16

// The codes that this server gives.
const (
	UnknownServerError       Code = -1
	NoError                  Code = 0
	OffsetOutOfRange         Code = 1
	CorruptMessage           Code = 2
	UnknownTopicOrPartition  Code = 3
	LeaderNotAvailable       Code = 5
	NotLeaderOrFollower      Code = 6
	RequestTimedOut          Code = 7
	BrokerNotAvailable       Code = 8
	ReplicaNotAvailable      Code = 9
	MessageTooLarge          Code = 10
	NetworkException         Code = 13
	CoordinatorNotAvailable  Code = 15
	InvalidTopic             Code = 17
	RecordListTooLarge       Code = 18
	NotEnoughReplicas        Code = 19
	NotEnoughReplicasAfter   Code = 20
	InvalidRequiredAcks      Code = 21
	TopicAuthorizationFailed Code = 29
	ClusterAuthorization     Code = 31
	InvalidTimestamp         Code = 32
	UnsupportedVersion       Code = 35
	TopicAlreadyExists       Code = 36
	InvalidPartitions        Code = 37
	InvalidReplicationFactor Code = 38
	InvalidReplicaAssignment Code = 39
	InvalidConfig            Code = 40
	NotController            Code = 41
	InvalidRequest           Code = 42
	UnsupportedForFormat     Code = 43
	PolicyViolation          Code = 44
	OutOfOrderSequenceNumber Code = 45
	DuplicateSequenceNumber  Code = 46
	InvalidProducerEpoch     Code = 47
	InvalidTxnState          Code = 48
	InvalidProducerIDMapping Code = 49
	TransactionalIDAuth      Code = 53
	KafkaStorageError        Code = 56
	UnknownProducerID        Code = 59
	FetchSessionIDNotFound   Code = 70
	InvalidFetchSessionEpoch Code = 71
	TopicDeletionDisabled    Code = 73
	FencedLeaderEpoch        Code = 74
	UnknownLeaderEpoch       Code = 75
	UnsupportedCompression   Code = 76
	OffsetNotAvailable       Code = 78
	InvalidRecord            Code = 87
	ThrottlingQuotaExceeded  Code = 89
	ProducerFenced           Code = 90
	ResourceNotFound         Code = 91
	DuplicateResource        Code = 92
	UnknownTopicID           Code = 100
	InconsistentTopicID      Code = 103
	FetchSessionTopicIDError Code = 106
	RebootstrapRequired      Code = 129
)

var codeNames = map[Code]string{
	UnknownServerError: "UNKNOWN_SERVER_ERROR", NoError: "NONE", OffsetOutOfRange: "OFFSET_OUT_OF_RANGE", CorruptMessage: "CORRUPT_MESSAGE",
	UnknownTopicOrPartition: "UNKNOWN_TOPIC_OR_PARTITION", LeaderNotAvailable: "LEADER_NOT_AVAILABLE", NotLeaderOrFollower: "NOT_LEADER_OR_FOLLOWER",
	RequestTimedOut: "REQUEST_TIMED_OUT", BrokerNotAvailable: "BROKER_NOT_AVAILABLE", ReplicaNotAvailable: "REPLICA_NOT_AVAILABLE",
	MessageTooLarge: "MESSAGE_TOO_LARGE", NetworkException: "NETWORK_EXCEPTION", CoordinatorNotAvailable: "COORDINATOR_NOT_AVAILABLE",
	InvalidTopic: "INVALID_TOPIC_EXCEPTION", RecordListTooLarge: "RECORD_LIST_TOO_LARGE", NotEnoughReplicas: "NOT_ENOUGH_REPLICAS",
	NotEnoughReplicasAfter: "NOT_ENOUGH_REPLICAS_AFTER_APPEND", InvalidRequiredAcks: "INVALID_REQUIRED_ACKS",
	TopicAuthorizationFailed: "TOPIC_AUTHORIZATION_FAILED", ClusterAuthorization: "CLUSTER_AUTHORIZATION_FAILED", InvalidTimestamp: "INVALID_TIMESTAMP",
	UnsupportedVersion: "UNSUPPORTED_VERSION", TopicAlreadyExists: "TOPIC_ALREADY_EXISTS", InvalidPartitions: "INVALID_PARTITIONS",
	InvalidReplicationFactor: "INVALID_REPLICATION_FACTOR", InvalidReplicaAssignment: "INVALID_REPLICA_ASSIGNMENT", InvalidConfig: "INVALID_CONFIG",
	NotController: "NOT_CONTROLLER", InvalidRequest: "INVALID_REQUEST", UnsupportedForFormat: "UNSUPPORTED_FOR_MESSAGE_FORMAT",
	PolicyViolation: "POLICY_VIOLATION", OutOfOrderSequenceNumber: "OUT_OF_ORDER_SEQUENCE_NUMBER", DuplicateSequenceNumber: "DUPLICATE_SEQUENCE_NUMBER",
	InvalidProducerEpoch: "INVALID_PRODUCER_EPOCH", InvalidTxnState: "INVALID_TXN_STATE", InvalidProducerIDMapping: "INVALID_PRODUCER_ID_MAPPING",
	TransactionalIDAuth: "TRANSACTIONAL_ID_AUTHORIZATION_FAILED", KafkaStorageError: "KAFKA_STORAGE_ERROR", UnknownProducerID: "UNKNOWN_PRODUCER_ID",
	FetchSessionIDNotFound: "FETCH_SESSION_ID_NOT_FOUND", InvalidFetchSessionEpoch: "INVALID_FETCH_SESSION_EPOCH",
	TopicDeletionDisabled: "TOPIC_DELETION_DISABLED", FencedLeaderEpoch: "FENCED_LEADER_EPOCH", UnknownLeaderEpoch: "UNKNOWN_LEADER_EPOCH",
	UnsupportedCompression: "UNSUPPORTED_COMPRESSION_TYPE", OffsetNotAvailable: "OFFSET_NOT_AVAILABLE", InvalidRecord: "INVALID_RECORD",
	ThrottlingQuotaExceeded: "THROTTLING_QUOTA_EXCEEDED", ProducerFenced: "PRODUCER_FENCED", ResourceNotFound: "RESOURCE_NOT_FOUND",
	DuplicateResource: "DUPLICATE_RESOURCE", UnknownTopicID: "UNKNOWN_TOPIC_ID", InconsistentTopicID: "INCONSISTENT_TOPIC_ID",
	FetchSessionTopicIDError: "FETCH_SESSION_TOPIC_ID_ERROR", RebootstrapRequired: "REBOOTSTRAP_REQUIRED",
}

// String is the code as Kafka spells it: NONE, OFFSET_OUT_OF_RANGE; "code 999" for one that has no name here.
func (c Code) String() string {
	if s := codeNames[c]; s != "" {
		return s
	}
	return "code " + strconv.Itoa(int(c))
}
