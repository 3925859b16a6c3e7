"""Hosts that are answered, and hosts that are refused and counted."""

import logging

import pytest

from plugin_server.protocol.access import MAX_HOSTS, OTHERS, AccessPolicy


def test_without_a_list_this_machine_is_allowed_and_nobody_else():
    policy = AccessPolicy()
    assert policy.bind == "127.0.0.1"
    assert all(policy.allows(host) for host in ("127.0.0.1", "127.0.0.2", "::1"))
    assert not policy.allows("192.168.1.20")


@pytest.mark.parametrize(
    ("host", "allowed"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("192.168.1.20", True),
        ("::ffff:192.168.1.20", True),
        ("10.0.3.4", True),
        ("192.168.1.21", False),
        ("127.0.0.2", False),
        ("10.1.0.0", False),
        ("::ffff:192.168.1.21", False),
        ("fe80::1%eth0", False),
    ],
)
def test_a_list_holds_addresses_and_networks(host, allowed):
    policy = AccessPolicy(["192.168.1.20", "10.0.9.9/16"])
    assert policy.bind == "0.0.0.0"
    assert policy.allows(host) is allowed
    assert policy.refused == ({} if allowed else {host: 1})


def test_the_log_names_each_host_once_and_all_are_counted(caplog):
    policy = AccessPolicy(["192.168.1.20"])
    with caplog.at_level(logging.WARNING):
        for _ in range(5):
            assert not policy.allows("192.168.1.21")
    assert policy.refused == {"192.168.1.21": 5}
    assert [record.getMessage() for record in caplog.records] == [
        "192.168.1.21 is not among the hosts of --allow and is ignored"
    ]


def test_forged_senders_fill_neither_memory_nor_the_log(caplog):
    policy = AccessPolicy(["192.168.1.20"])
    for i in range(MAX_HOSTS + 300):
        policy.allows(f"10.0.{i // 256}.{i % 256}")
    assert len(policy.refused) == MAX_HOSTS + 1 == len(caplog.records)
    assert policy.refused[OTHERS] == 300


def test_networks_that_are_wider_than_ones_own_are_named():
    lists = (["0.0.0.0/0"], ["0.0.0.0/1", "128.0.0.0/1"], ["192.168.1.20", "10.0.0.0/8"])
    assert [[str(network) for network in AccessPolicy(allow).wide_networks()] for allow in lists] == [*lists[:2], []]
    assert AccessPolicy().wide_networks() == []
