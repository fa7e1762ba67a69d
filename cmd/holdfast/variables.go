// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"strings"

	"github.com/holdfast-lb/holdfast/configs"
)

// variables collects the flags NAME=VALUE. Of several values for one name, the last counts.
type variables []configs.Variable

func (v *variables) Set(s string) error {
	name, value, ok := strings.Cut(s, "=")
	if !ok || name == "" {
		return errors.New("takes NAME=VALUE")
	}
	*v = append(*v, configs.Variable{Name: name, Value: value})
	return nil
}

func (v *variables) String() string {
	var list []string
	for _, x := range *v {
		list = append(list, x.Name+"="+x.Value)
	}
	return strings.Join(list, " ")
}

func (v *variables) Type() string { return "NAME=VALUE" }

// load reads the configuration that the flags name.
func (g *globals) load() (*configs.Config, configs.Diagnostics) {
	return configs.Load(g.config, g.vars...)
}
