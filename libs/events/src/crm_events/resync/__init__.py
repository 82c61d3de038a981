"""Resync: a group has the owner of a topic tell it again, over the bus, what it lacks. docs/decisions/0021 says why it is so.

The group's service asks (`asker`, in every worker), the owner answers from its journal (`answerer`, beside the relay that leads).
`rules` decides for both, `messages` is what travels, `box` is for operators, `gaps` notices that something is lacking.
"""
