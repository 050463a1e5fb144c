"""Distributed training: ranks with different wirings are refused."""

import torch
from torch import distributed, multiprocessing, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

from prewired.nn import mlp

WRAPPERS = {
    "DistributedDataParallel": nn.parallel.DistributedDataParallel,
    "fully_shard": lambda net: fully_shard(net, mesh=init_device_mesh("cpu", (2,))),
}


def run_rank(rank, folder):
    """Write what each wrapper does with equal wirings and with different ones."""
    torch.set_num_threads(1)  # a forked process must not use the threads of its parent
    distributed.init_process_group("gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2)
    results = {}
    for name, wrap in WRAPPERS.items():
        for seeds in ((0, 0), (0, 1)):
            net = mlp([8, 8, 2], family="biregular", fan_in=2, seed=seeds[rank])
            try:
                wrapped = wrap(net)
                wrapped(torch.ones(3, 8)).sum().backward()
                results[name, seeds] = "trained"
            except ValueError as error:
                results[name, seeds] = str(error)
    torch.save(results, f"{folder}/{rank}")
    distributed.destroy_process_group()


def test_ranks_with_other_wirings_are_refused_with_both_digests(tmp_path):
    """1.5"""
    multiprocessing.start_processes(run_rank, (str(tmp_path),), nprocs=2, start_method="fork")
    digests = [mlp([8, 8, 2], family="biregular", fan_in=2, seed=k)[0].topology.digest[:12] for k in (0, 1)]
    for rank in (0, 1):
        results = torch.load(tmp_path / str(rank))
        assert len(results) == 4
        for (_, seeds), result in results.items():
            if seeds == (0, 0):
                assert result == "trained"
            else:
                assert f"got {digests[0]} on rank 0 and {digests[1]} on rank 1" in result
