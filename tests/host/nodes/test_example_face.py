"""Example Face: the core's drawn faces as pictures."""

import torch


def test_the_node_gives_the_cores_face(call, comfy_host):
    (image,) = call("PullbackExampleFace", number=4)
    expected = comfy_host.core.faces.example_faces([4])
    assert image.shape == (1, 48, 48, 3) and 0 <= image.min() and image.max() <= 1
    torch.testing.assert_close(image.movedim(3, 1) * 2 - 1, expected, rtol=0, atol=1e-6)
    assert not torch.equal(image, call("PullbackExampleFace", number=5)[0])


def test_several_faces_are_a_batch_of_the_faces_that_follow(call):
    (images,) = call("PullbackExampleFace", number=4, count=3)
    single = [call("PullbackExampleFace", number=number)[0] for number in (4, 5, 6)]
    torch.testing.assert_close(images, torch.cat(single), rtol=0, atol=1e-6)
