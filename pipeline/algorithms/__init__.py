"""DDPG, PPO and DS as RLlib algorithms over shards of inventories.

An algorithm is a file: its configuration, module, losses, learner and rows. What they share:
``config.py``, ``modules.py`` (the RLModule around the policy network), ``runner.py`` (the columnar
EnvRunner), ``gradients.py`` and ``shard.py`` (sampling, the training step and weight sync).
"""
