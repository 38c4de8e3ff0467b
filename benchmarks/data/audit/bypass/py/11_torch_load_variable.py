from torch import load


def restore(net, checkpoint_path):
    net.load_state_dict(load(checkpoint_path)["state_dict"])
    return net
