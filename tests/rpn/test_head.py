"""``lphm.rpn`` inside a head that makes the calls of RPN's head; ``test_tinybig`` uses tinyBIG's own."""

import torch
from torch import nn
from torch.nn import functional as F

from support.rpn_head import CHANNELS, B, M, N, close, expected, interdependences


class Head(nn.Module):
    """The calls that RPN's head makes, in its order and with its argument names."""

    def __init__(self, m, n, batch_num, channel_num, attribute, instance, device="cpu"):
        super().__init__()
        self.m, self.n, self.channel_num, self.device = m, n, channel_num, device
        self.attribute_interdependence, self.instance_interdependence = attribute, instance
        self.w_attribute_interdependence = self.w_instance_interdependence = None
        if attribute.require_parameters:
            shape = (channel_num, attribute.calculate_l())
            self.w_attribute_interdependence = nn.Parameter(torch.rand(shape, dtype=torch.float64))
        m_prime = attribute.calculate_m_prime(m=m)
        if instance.require_parameters:
            shape = (channel_num, instance.calculate_l())
            self.w_instance_interdependence = nn.Parameter(torch.rand(shape, dtype=torch.float64))
        assert instance.calculate_b_prime(b=batch_num) == batch_num
        self.w = nn.Parameter(torch.rand(channel_num, n * 2 * m_prime, dtype=torch.float64))

    def xi(self, interdependence, w, channel, x, kappa_x=None):
        if interdependence.device != self.device:
            interdependence.to(self.device)
        row = None if w is None else w[channel : channel + 1, :]
        return interdependence(x=x, w=row, kappa_x=kappa_x, device=self.device)

    def forward(self, x):
        outs = []
        for channel in range(self.channel_num):
            xi_x = self.xi(self.attribute_interdependence, self.w_attribute_interdependence, channel, x)
            kappa_x = torch.cat([xi_x, xi_x**2], dim=1)
            instance = self.instance_interdependence, self.w_instance_interdependence
            kappa_xi_x = self.xi(*instance, channel, x, kappa_x)
            assert (kappa_xi_x.ndim, kappa_xi_x.is_sparse) == (2, False)
            outs.append(F.linear(kappa_xi_x, self.w[channel].view(self.n, -1)))
        return torch.stack(outs).mean(0)


def test_in_a_head_with_three_channels():
    head = Head(M, N, B, CHANNELS, *interdependences())
    x = torch.randn(B, M, dtype=torch.float64)
    close(head(x), expected(head, x))
    assert head.w_attribute_interdependence.shape == (CHANNELS, 4 * 2 + 2 * (2 + 4))
    assert head.w_instance_interdependence.shape == (CHANNELS, 3 * 2 + 2 * (2 + 3))


def test_a_head_trains():
    head = Head(M, N, B, CHANNELS, *interdependences())
    x, y = torch.randn(B, M, dtype=torch.float64) / 4, torch.randn(B, N, dtype=torch.float64)
    optimizer = torch.optim.Adam(head.parameters(), lr=0.05)
    losses = []
    for _ in range(30):
        loss = F.mse_loss(head(x), y)
        optimizer.zero_grad()
        loss.backward()
        assert all((parameter.grad.abs().sum(1) > 0).all() for parameter in head.parameters())
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


def test_the_functions_are_part_of_the_heads_modules_but_not_of_its_weights():
    head = Head(M, N, B, CHANNELS, *interdependences())
    assert set(head.state_dict()) == {"w_attribute_interdependence", "w_instance_interdependence", "w"}
    assert len(list(head.modules())) == 3


def test_a_head_that_moves_a_function_does_so_once():
    head = Head(M, N, B, 1, *interdependences(device="meta"))
    head(torch.randn(B, M, dtype=torch.float64))
    assert head.attribute_interdependence.device == head.instance_interdependence.device == "cpu"


def test_constants_need_no_parameters_of_the_head():
    constants = interdependences(require_data=False, require_parameters=False)
    x = torch.randn(B, M, dtype=torch.float64)
    for f in constants:
        f.calculate_A(x if f.kind == "attribute" else x.T, torch.randn(1, f.calculate_l()).double())
    head = Head(M, N, B, CHANNELS, *constants)
    assert set(dict(head.named_parameters())) == {"w"}
    xi_a, xi_i = (f.get_A() for f in constants)
    kappa = torch.cat([x @ xi_a, (x @ xi_a) ** 2], dim=1)
    want = torch.stack([xi_i.T @ kappa @ w.view(N, -1).T for w in head.w]).mean(0)
    torch.testing.assert_close(head(x), want)
