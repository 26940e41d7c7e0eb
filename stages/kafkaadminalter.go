package stages

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kmsg"

	"sluice/wire/kafka"
)

// alterConfigs changes settings of topics, each topic's all or none.
func (r *responder) alterConfigs(ctx context.Context, req *kmsg.IncrementalAlterConfigsRequest) kmsg.Response {
	resp := req.ResponseKind().(*kmsg.IncrementalAlterConfigsResponse)
	key := func(ask *kmsg.IncrementalAlterConfigsRequestResource) resource {
		return resource{ask.ResourceType, ask.ResourceName}
	}
	for ask, times := range eachOnce(ctx, r, req.Resources, key) {
		e := namedTwice(times)
		if e == nil {
			e = r.alterConfig(ask, req.ValidateOnly)
		}
		answer := kmsg.NewIncrementalAlterConfigsResponseResource()
		answer.ResourceType, answer.ResourceName = ask.ResourceType, ask.ResourceName
		answer.ErrorCode, answer.ErrorMessage = r.fields(kafka.IncrementalAlterConfigs, e)
		resp.Resources = append(resp.Resources, answer)
	}
	return resp
}

func (r *responder) alterConfig(ask *kmsg.IncrementalAlterConfigsRequestResource, dry bool) *kafkaError {
	if ask.ResourceType != kmsg.ConfigResourceTypeTopic {
		return &kafkaError{kafka.InvalidRequest, "only settings of topics can be changed by a client: those of the server are in its configuration"}
	}
	if !r.c.srv.catalog.has([]byte(ask.ResourceName)) {
		return unknownTopic(ask.ResourceName)
	}
	admin := &adminRequest{topic: ask.ResourceName, dry: dry}
	named := make(map[string]bool, len(ask.Configs))
	for i := range ask.Configs {
		c := &ask.Configs[i]
		if named[c.Name] {
			return &kafkaError{kafka.InvalidRequest, c.Name + " is named twice"}
		}
		named[c.Name] = true
		if e := admin.change(c); e != nil {
			return e
		}
	}
	if e := r.control(opAlter, admin); e != nil {
		return adminError(e)
	}
	return nil
}

// change adds what is asked of one setting.
func (a *adminRequest) change(c *kmsg.IncrementalAlterConfigsRequestResourceConfig) *kafkaError {
	switch c.Op {
	case kmsg.IncrementalAlterConfigOpSet:
		value, e := settingOf(c.Name, c.Value)
		if e != nil {
			return e
		}
		if value != "" {
			a.settings = append(a.settings, [2]string{c.Name, value})
		}
		return nil
	case kmsg.IncrementalAlterConfigOpDelete:
		if c.Name == "partitions" {
			return errPartitionsConfig
		}
		if !isFixed(c.Name) {
			a.unset = append(a.unset, c.Name)
		}
		return nil
	case kmsg.IncrementalAlterConfigOpAppend, kmsg.IncrementalAlterConfigOpSubtract:
		return &kafkaError{kafka.InvalidConfig, fmt.Sprintf("%s is no list to which anything could be added, or from which it could be taken: set it", c.Name)}
	}
	return &kafkaError{kafka.InvalidRequest, fmt.Sprintf("there is nothing with the number %d to do with a setting", int8(c.Op))}
}
