from residency.data.twins.clusters import cluster


def test_links_and_groups_join() -> None:
    found = cluster("abcdef", [["a", "c"], ["f"]], [("c", "d"), ("e", "b")], largest=3)
    assert list(found) == [["a", "c", "d"], ["b", "e"], ["f"]]


def test_a_chain_ends_where_the_cluster_is_large_enough() -> None:
    links = [(i, i + 1) for i in range(9)]
    assert list(cluster(range(10), [], links, largest=4)) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


def test_a_group_may_be_larger() -> None:
    assert list(cluster(range(5), [[0, 1, 2, 3]], [(3, 4)], largest=2)) == [[0, 1, 2, 3], [4]]
