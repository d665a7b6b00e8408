"""DDPG, PPO and DS as RLlib algorithms over shards of inventories.

Every algorithm has one file with its Config, its Algorithm and its Learner. What they
share: ``shard.py`` (configuration, sampling and weight sync), ``runner.py`` (the
columnar EnvRunner), ``modules.py`` (RLModules around the policy network).
"""
