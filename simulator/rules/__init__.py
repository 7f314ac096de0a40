"""Which faults meet which request: rules, scenarios and their timelines, gates and states, directives in prompts."""
