"""The paper's model: a visual-text fusion Transformer with one head per attribute (paper, Method).

Text tokens come first, then visual tokens; pre-LayerNorm blocks (multi-head attention, MLP, two residuals);
a last LayerNorm; output i is read from text token i by its own fully connected layer. Two shortcuts do not change
the result: the last block computes only the text tokens, since the heads read nothing else; and before the first
block text tokens are stored once, not per tracklet, since they are equal for all.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn

from vpar_cache.models.parts import PartBias


class FusionBlock(nn.Module):
    """One pre-LayerNorm Transformer block over text and visual tokens."""

    def __init__(self, dim: int, heads: int, drop_path: float = 0.0, norm_eps: float = 1e-5) -> None:
        """`drop_path`: how likely a tracklet skips a branch in training; `norm_eps`: of both LayerNorms."""
        super().__init__()
        self.heads = heads
        self.drop_path = drop_path
        self.norm_attention = nn.LayerNorm(dim, norm_eps)
        self.qkv = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)
        self.norm_mlp = nn.LayerNorm(dim, norm_eps)
        self.mlp = nn.Sequential(nn.Linear(dim, 4 * dim), nn.GELU(), nn.Linear(4 * dim, dim))
        for linear in (self.qkv, self.out, self.mlp[0], self.mlp[2]):
            assert isinstance(linear, nn.Linear)
            nn.init.trunc_normal_(linear.weight, std=0.02)  # as ViT; the default of nn.Linear trains slower here
            nn.init.zeros_(linear.bias)

    def forward(
        self, text: Tensor, visual: Tensor, *, read_text_only: bool, bias: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return both after the block, text (B, A, W) and visual (B, N, W); `text` may be (1, A, W).

        `read_text_only`: compute the text tokens alone; visual tokens are returned unchanged. `bias`: (A, N),
        added to the scores of attention from text to visual tokens.
        """
        batch, num_text = visual.shape[0], text.shape[1]
        kept = self._kept_branches(visual)
        normed_text = self.norm_attention(text)  # (B or 1, A, W)
        normed_visual = self.norm_attention(visual)  # (B, N, W)
        text_q, text_k, text_v = self._split_heads(self.qkv(normed_text), 3)  # each (B or 1, H, A, W/H)
        if read_text_only:
            width = visual.shape[2]
            kv_weight, kv_bias = self.qkv.weight[width:], self.qkv.bias[width:]  # (2W, W), (2W,)
            visual_k, visual_v = self._split_heads(
                F.linear(normed_visual, kv_weight, kv_bias), 2
            )  # (B, H, N, W/H)
            query = text_q.expand(batch, -1, -1, -1)  # (B, H, A, W/H)
        else:
            visual_q, visual_k, visual_v = self._split_heads(self.qkv(normed_visual), 3)  # each (B, H, N, W/H)
            query = torch.cat([text_q.expand(batch, -1, -1, -1), visual_q], dim=2)  # (B, H, A+N, W/H)
        key = torch.cat([text_k.expand(batch, -1, -1, -1), visual_k], dim=2)  # (B, H, A+N, W/H)
        value = torch.cat([text_v.expand(batch, -1, -1, -1), visual_v], dim=2)  # (B, H, A+N, W/H)
        mask = None
        if bias is not None:
            mask = F.pad(bias, (num_text, 0, 0, query.shape[2] - num_text)).to(query.dtype)  # (A or A+N, A+N)
        mixed = F.scaled_dot_product_attention(query, key, value, mask)  # (B, H, A or A+N, W/H)
        mixed = kept[0] * self.out(mixed.transpose(1, 2).flatten(2))  # (B, A or A+N, W)
        text = text + mixed[:, :num_text]  # (B, A, W)
        text = text + kept[1] * self.mlp(self.norm_mlp(text))  # (B, A, W)
        if not read_text_only:
            visual = visual + mixed[:, num_text:]  # (B, N, W)
            visual = visual + kept[1] * self.mlp(self.norm_mlp(visual))  # (B, N, W)
        return text, visual

    def _kept_branches(self, visual: Tensor) -> tuple[Tensor | float, Tensor | float]:
        """Return the factors on the attention and the MLP branch, each (B, 1, 1), or 1 where nothing is dropped.

        Stochastic depth (Huang et al., ECCV 2016) as in timm: in training each branch of each tracklet is left out
        with probability `drop_path`, for all its tokens, and divided by the probability to keep it otherwise.
        """
        if not self.training or self.drop_path == 0:
            return 1.0, 1.0
        keep = 1 - self.drop_path
        # Drawn on the tensor's own device, so that a CUDA graph draws other numbers at every replay.
        drawn = visual.new_empty(2, visual.shape[0], 1, 1).bernoulli_(keep) / keep  # (2, B, 1, 1)
        return drawn[0], drawn[1]

    def attention(self, text: Tensor, visual: Tensor, bias: Tensor | None = None) -> Tensor:
        """Return (B, A, N): the attention of each text token to each visual token, averaged over heads.

        From text (B or 1, A, W) and visual (B, N, W). The rest of each row's sum to 1 is attention to text tokens.
        """
        batch, num_text = visual.shape[0], text.shape[1]
        query, text_k, _ = self._split_heads(self.qkv(self.norm_attention(text)), 3)  # each (B or 1, H, A, W/H)
        _, visual_k, _ = self._split_heads(self.qkv(self.norm_attention(visual)), 3)  # (B, H, N, W/H)
        key = torch.cat([text_k.expand(batch, -1, -1, -1), visual_k], dim=2)  # (B, H, A+N, W/H)
        scores = query @ key.transpose(2, 3) * query.shape[3] ** -0.5  # (B, H, A, A+N)
        if bias is not None:
            scores = scores + F.pad(bias, (num_text, 0))  # (B, H, A, A+N)
        given: Tensor = scores.softmax(dim=3)[..., num_text:].mean(dim=1)  # (B, A, N)
        return given

    def _split_heads(self, packed: Tensor, parts: int) -> tuple[Tensor, ...]:
        """Split (B, L, parts * W) into `parts` tensors (B, H, L, W/H)."""
        separate: Tensor = packed.unflatten(2, (parts, self.heads, -1))  # (B, L, parts, H, W/H)
        return tuple(separate.permute(2, 0, 3, 1, 4))


class FusionTransformer(nn.Module):
    """`vtf`: visual tokens (B, N, D) and text embeddings (A, Dt) -> logits (B, A)."""

    def __init__(
        self,
        num_outputs: int,
        token_dim: int,
        text_dim: int,
        *,
        dim: int,
        layers: int,
        heads: int,
        logit_norm: bool,
        drop_path: float = 0.0,
        norm_eps: float = 1e-5,
        tune_text: bool = False,
        part_bias: PartBias | None = None,
    ) -> None:
        """`dim`: width W of the blocks; `part_bias`: see models/parts.py; for the others see ModelSettings.

        `tune_text`: learn an offset on each text embedding, zero at the start. This is what a cache allows of CoOp
        (Zhou et al., "Learning to Prompt for Vision-Language Models", IJCV 2022), which learns the words that its
        text encoder reads.
        """
        super().__init__()
        self.visual_in = nn.Linear(token_dim, dim)
        self.text_in = nn.Linear(text_dim, dim)
        self.blocks = nn.ModuleList(FusionBlock(dim, heads, drop_path, norm_eps) for _ in range(layers))
        self.norm = nn.LayerNorm(dim, norm_eps)
        self.head_weight = nn.Parameter(torch.empty(num_outputs, dim))  # (A, W): A heads W -> 1
        self.head_bias = nn.Parameter(torch.zeros(num_outputs))  # (A,)
        nn.init.trunc_normal_(self.head_weight, std=0.02)
        self.logit_norm = nn.BatchNorm1d(num_outputs) if logit_norm else nn.Identity()
        self.text_offset = nn.Parameter(torch.zeros(num_outputs, text_dim)) if tune_text else None  # (A, Dt)
        self.part_bias = part_bias

    def embed(self, visual: Tensor, text: Tensor) -> tuple[Tensor, Tensor]:
        """Return text tokens (1, A, W), equal for every tracklet, and visual tokens (B, N, W)."""
        if self.text_offset is not None:
            text = text + self.text_offset  # (A, Dt)
        return self.text_in(text).unsqueeze(0), self.visual_in(visual)  # (1, A, W), (B, N, W)

    def forward(self, visual: Tensor, text: Tensor) -> Tensor:
        text_tokens, visual_tokens = self.embed(visual, text)  # (1, A, W), (B, N, W)
        bias = self._bias()  # (A, N)
        last = len(self.blocks) - 1
        for number, block in enumerate(self.blocks):
            text_tokens, visual_tokens = block(
                text_tokens, visual_tokens, read_text_only=number == last, bias=bias
            )
        read = self.norm(text_tokens)  # (B, A, W)
        logits = torch.einsum("baw,aw->ba", read, self.head_weight) + self.head_bias  # (B, A)
        normed: Tensor = self.logit_norm(logits)  # (B, A)
        return normed

    def attention(self, visual: Tensor, text: Tensor) -> Tensor:
        """Return the attention of the last block (B, A, N) for visual (B, N, D) and text (A, Dt)."""
        text_tokens, visual_tokens = self.embed(visual, text)  # (1, A, W), (B, N, W)
        bias = self._bias()  # (A, N)
        for block in self.blocks[:-1]:
            text_tokens, visual_tokens = block(text_tokens, visual_tokens, read_text_only=False, bias=bias)
        last = self.blocks[-1]
        assert isinstance(last, FusionBlock)
        return last.attention(text_tokens, visual_tokens, bias)

    def _bias(self) -> Tensor | None:
        """Return the bias on attention from text to visual tokens, (A, N); None without one."""
        return None if self.part_bias is None else self.part_bias()

    def load_last_block(self, state: Mapping[str, Tensor]) -> None:
        """Copy the last block and the final LayerNorm of a ViT (timm's names), as the authors' code does."""
        block = self.blocks[-1]
        assert isinstance(block, FusionBlock)
        linears = {"attn.qkv": block.qkv, "attn.proj": block.out, "mlp.fc1": block.mlp[0], "mlp.fc2": block.mlp[2]}
        norms = {"norm1": block.norm_attention, "norm2": block.norm_mlp, "norm": self.norm}
        for name, module in {**linears, **norms}.items():
            module.load_state_dict({part: state[f"{name}.{part}"] for part in ("weight", "bias")})
