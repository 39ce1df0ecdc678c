"""The node-agent: carries Kamailio's questions to the brain, and the brain's commands to the node. Decides nothing."""
