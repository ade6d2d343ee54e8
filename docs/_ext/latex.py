"""LaTeX for the formulas of the docstrings, which are plain text there: ``docstrings.py`` reads it.

Keys are the blocks and the literals of docstrings with single spaces in place of line breaks and of several
spaces. Every block needs an entry; a literal without one is shown as code.
"""

FORMULAS = {
    # Blocks.
    "attribute: xi = Xᵀ W X (m x m) instance: xi = X W Xᵀ (b x b) "
    "xi = Xᵀ W Y (m x m') xi = X W Yᵀ (b x b')": r"""
        \begin{array}{rll}
        \text{attribute:} & \xi = X^\top W X \;\in \mathbb{R}^{m \times m}
        & \text{or}\; X^\top W Y \;\in \mathbb{R}^{m \times m'} \\
        \text{instance:} & \xi = X\, W X^\top \;\in \mathbb{R}^{b \times b}
        & \text{or}\; X\, W Y^\top \;\in \mathbb{R}^{b \times b'}
        \end{array}""",
    "attribute: D @ (Xᵀ W X) instance: (X W Xᵀ)ᵀ @ D D @ (Xᵀ W Y) (X W Yᵀ)ᵀ @ D": r"""
        \begin{array}{rll}
        \text{attribute:} & D\, (X^\top W X) & \text{or}\; D\, (X^\top W Y) \\
        \text{instance:} & (X\, W X^\top)^\top D & \text{or}\; (X\, W Y^\top)^\top D
        \end{array}""",
    "error = ‖W - structure.to_dense(w)‖_F / ‖W‖_F w = lphm.nearest(structure, W),": r"""
        \text{error} = \|W - W(w)\|_F\, /\, \|W\|_F, \quad w = \text{nearest}(\text{structure}, W)""",
    "W[i, j] = max(0, 1 - |i - j| / (lags + 1)) xi = Σ_τ (1 - |τ| / (lags + 1)) Σ_i x_i x_{i+τ}ᵀ": r"""
        \begin{array}{rl}
        W_{ij} & = \max\left(0,\; 1 - \frac{|i - j|}{\text{lags} + 1}\right) \\
        \xi & = \sum_\tau \left(1 - \frac{|\tau|}{\text{lags} + 1}\right) \sum_i x_i\, x_{i+\tau}^\top
        \end{array}""",
    "W = I_p ⊗ (1 1ᵀ) xi = Σ_g s_g s_gᵀ with the sums of rows s_g = Σ_{i in g} x_i": r"""
        W = I_p \otimes (1\, 1^\top), \quad \xi = \sum_g s_g\, s_g^\top
        \quad \text{with}\; s_g = \sum_{i \in g} x_i""",
    "rook W = I ⊗ N + N ⊗ I cells that share an edge "
    "queen W = (I + N) ⊗ (I + N) - I ⊗ I cells that share an edge or a corner": r"""
        \begin{array}{rll}
        \text{rook:} & W = I \otimes N + N \otimes I & \text{cells that share an edge} \\
        \text{queen:} & W = (I + N) \otimes (I + N) - I \otimes I
        & \text{cells that share an edge or a corner}
        \end{array}""",
    "I = (n / Σ_ij W[i, j]) zᵀ W z / zᵀ z.": r"I = \frac{n}{\sum_{ij} W_{ij}}\; \frac{z^\top W z}{z^\top z}",
    "W = A ⊗ (1 1ᵀ) A[s, t] = max(0, 1 - |s - t| / (lags + 1))": r"""
        W = A \otimes (1\, 1^\top), \quad
        A_{st} = \max\left(0,\; 1 - \frac{|s - t|}{\text{lags} + 1}\right)""",
    "y = x Wᵀ + b": r"y = x\, W^\top + b",
    "W = alpha / r · w1 ⊗ w2 w2 = w2_a w2_b": r"""
        W = \frac{\alpha}{r}\; w_1 \otimes w_2, \quad w_2 = w_{2a}\, w_{2b}""",
    "attribute: U = Sᵀ X_p, V = Tᵀ X_q instance: Z = left X": r"""
        \begin{array}{rl}
        \text{attribute:} & U = S^\top X_p, \quad V = T^\top X_q \\
        \text{instance:} & Z = \text{left}\; X
        \end{array}""",
    "attribute: X @ xi instance: rightᵀ Z": r"""
        \begin{array}{rl}
        \text{attribute:} & X\, \xi \\
        \text{instance:} & \text{right}^\top Z
        \end{array}""",
    "head_h = softmax(Q W_h Kᵀ / √d + mask) V_h d = embed_dim / num_heads "
    "output = [head_1 … head_H] · out_projᵀ V = value · in_projᵀ, of which head h has d columns": r"""
        \begin{array}{rl}
        \text{head}_h & = \text{softmax}\left(Q\, W_h K^\top / \sqrt{d} + \text{mask}\right) V_h,
        \quad d = \text{embed dim} / \text{num heads} \\
        \text{output} & = [\text{head}_1 \ldots \text{head}_H]\, P^\top,
        \quad V = \text{value}\, U^\top, \quad P, U \text{: out proj, in proj}
        \end{array}""",
    "l = pq + r (n/p + n/q).": r"l = p\,q + r \left( \frac{n}{p} + \frac{n}{q} \right)",
    "left, right = U, A V K = p r if p <= q left, right = Aᵀ U, V K = q r otherwise.": r"""
        \text{left}, \text{right} = \begin{cases}
        U,\; A V & \text{if } p \le q, \quad K = p\,r \\
        A^\top U,\; V & \text{otherwise}, \quad K = q\,r
        \end{cases}""",
    "left, right = X, (A ⊗ B) X if p >= q left, right = (A ⊗ B)ᵀ X, X otherwise.": r"""
        \text{left}, \text{right} = \begin{cases}
        X,\; (A \otimes B)\, X & \text{if } p \ge q \\
        (A \otimes B)^\top X,\; X & \text{otherwise}
        \end{cases}""",
    "left, right = (P ⊗ S)ᵀ X, (Q ⊗ T)ᵀ X K = r²,": r"""
        \text{left}, \text{right} = (P \otimes S)^\top X,\; (Q \otimes T)^\top X, \qquad K = r^2""",
    "xi = Σ_τ t[τ] C(τ) C(τ) = Σ_i x_i x_{i+τ}ᵀ, in which column b comes τ rows after column a.": r"""
        \xi = \sum_{\tau=-h}^{h} t_\tau\, C(\tau), \qquad
        C(\tau)_{ab} = \sum_i x_{i,a}\, x_{i+\tau,b}""",
    "attribute: A = Xᵀ W X (m x m), W = reshape(w) (b x b), forward: D @ A "
    "instance: A = X W Xᵀ (b x b), W = reshape(w) (m x m), forward: Aᵀ @ D": r"""
        \begin{array}{rlll}
        \text{attribute:} & A = X^\top W X \in \mathbb{R}^{m \times m}, & W \in \mathbb{R}^{b \times b},
        & \text{forward: } D A \\
        \text{instance:} & A = X\, W X^\top \in \mathbb{R}^{b \times b}, & W \in \mathbb{R}^{m \times m},
        & \text{forward: } A^\top D
        \end{array}""",
    "W = A ⊗ (S Tᵀ), A (p x q), S (n/p x r), T (n/q x r), l = pq + r (n/p + n/q)": r"""
        \begin{array}{l}
        W = A \otimes (S\, T^\top), \qquad l = p\,q + r \left( \frac{n}{p} + \frac{n}{q} \right) \\
        A \in \mathbb{R}^{p \times q}, \quad S \in \mathbb{R}^{n/p \times r}, \quad
        T \in \mathbb{R}^{n/q \times r}
        \end{array}""",
    "W = (P Qᵀ) ⊗ (S Tᵀ), P (p x r), Q (q x r), S (n/p x r), T (n/q x r)": r"""
        \begin{array}{l}
        W = (P\, Q^\top) \otimes (S\, T^\top) \\
        P \in \mathbb{R}^{p \times r}, \quad Q \in \mathbb{R}^{q \times r}, \quad
        S \in \mathbb{R}^{n/p \times r}, \quad T \in \mathbb{R}^{n/q \times r}
        \end{array}""",
    "W = diag(λ₁) A diag(λ₂) Bᵀ, λ₁ (n), λ₂ (r), l = n + r; A, B (n x r) fixed": r"""
        \begin{array}{l}
        W = \operatorname{diag}(\lambda_1)\, A \operatorname{diag}(\lambda_2)\, B^\top, \qquad l = n + r \\
        \lambda_1 \in \mathbb{R}^n, \quad \lambda_2 \in \mathbb{R}^r, \quad
        A, B \in \mathbb{R}^{n \times r} \text{ fixed}
        \end{array}""",
    # Literals.
    "xi": r"\xi",
    "xi(X | w)": r"\xi(X \mid w)",
    "xi = 0": r"\xi = 0",
    "xi = Xᵀ W X": r"\xi = X^\top W X",
    "xi = Zᵀ W Z": r"\xi = Z^\top W Z",
    "xi = -xiᵀ": r"\xi = -\xi^\top",
    "xi / n": r"\xi / n",
    "xi_c": r"\xi_c",
    "X @ xi": r"X\, \xi",
    "D @ xi": r"D\, \xi",
    "xiᵀ @ D": r"\xi^\top D",
    "xiᵀ @ X": r"\xi^\top X",
    "D @ A": "D A",
    "Aᵀ @ D": r"A^\top D",
    "A = xᵀ W x": r"A = x^\top W x",
    "leftᵀ right": r"\text{left}^\top \text{right}",
    "E‖W‖_F² = gain²": r"\mathbb{E}\,\lVert W \rVert_F^2 = \text{gain}^2",
    "E‖W‖_F² = 1": r"\mathbb{E}\,\lVert W \rVert_F^2 = 1",
    "‖W‖_F": r"\lVert W \rVert_F",
    "‖W - structure.to_dense(w)‖_F / ‖W‖_F": r"""
        \lVert W - \text{structure.to_dense}(w) \rVert_F / \lVert W \rVert_F""",
    "‖W - structure.to_dense(w)‖_F": r"\lVert W - \text{structure.to_dense}(w) \rVert_F",
    "W = reshape(w)": r"W = \text{reshape}(w)",
    "W = A ⊗ (S Tᵀ)": r"W = A \otimes (S\, T^\top)",
    "W = A ⊗ B": r"W = A \otimes B",
    "W = P Qᵀ": r"W = P\, Q^\top",
    "W = (P Qᵀ) ⊗ (S Tᵀ)": r"W = (P\, Q^\top) \otimes (S\, T^\top)",
    "W = (P ⊗ S)(Q ⊗ T)ᵀ": r"W = (P \otimes S)(Q \otimes T)^\top",
    "W = diag(λ₁) A diag(λ₂) Bᵀ": r"""
        W = \operatorname{diag}(\lambda_1)\, A \operatorname{diag}(\lambda_2)\, B^\top""",
    "W[i, j] = t[j - i]": r"W_{ij} = t_{j-i}",
    "W = (I_p ⊗ S)(A ⊗ I_r)(I_q ⊗ T)ᵀ": r"W = (I_p \otimes S)(A \otimes I_r)(I_q \otimes T)^\top",
    "A ⊗ B = (A ⊗ I)(I ⊗ B)": r"A \otimes B = (A \otimes I)(I \otimes B)",
    "A[i, j] · S Tᵀ": r"A_{ij}\, S\, T^\top",
    "A[i, j] · B": r"A_{ij}\, B",
    "S Tᵀ": r"S\, T^\top",
    "P Qᵀ": r"P\, Q^\top",
    "U = Sᵀ X_p": r"U = S^\top X_p",
    "V = Tᵀ X_q": r"V = T^\top X_q",
    "left, right = X, W X": r"\text{left}, \text{right} = X,\, W X",
    "left, right = Pᵀ X, Qᵀ X": r"\text{left}, \text{right} = P^\top X,\, Q^\top X",
    "left, right = (diag(λ₁) A diag(λ₂))ᵀ X, Bᵀ X": r"""
        \text{left}, \text{right} =
        (\operatorname{diag}(\lambda_1)\, A \operatorname{diag}(\lambda_2))^\top X,\, B^\top X""",
    "[λ₁, λ₂]": r"[\lambda_1, \lambda_2]",
    "t[-τ] = -t[τ]": r"t_{-\tau} = -t_\tau",
    "C(-τ) = C(τ)ᵀ": r"C(-\tau) = C(\tau)^\top",
    "l = n²": "l = n^2",
    "l = 2 n r": r"l = 2\,n\,r",
    "l = n + r": "l = n + r",
    "l = pq + n²/(pq)": r"l = p\,q + n^2 / (p\,q)",
    "l = r (p + q + n/p + n/q)": r"l = r\,(p + q + n/p + n/q)",
    "l = lags = 2 h + 1": r"l = \text{lags} = 2\,h + 1",
    "4 n k r + 2 p q r k": r"4\,n\,k\,r + 2\,p\,q\,r\,k",
    "4 n k r + 2 p q r k + 4 d k K": r"4\,n\,k\,r + 2\,p\,q\,r\,k + 4\,d\,k\,K",
    "2 k² (K + d)": r"2\,k^2\,(K + d)",
    "4 d k K": r"4\,d\,k\,K",
    "K = r min(p, q)": r"K = r \min(p, q)",
    "K = r²": "K = r^2",
    "K = r": "K = r",
    "K = n": "K = n",
    "r²": "r^2",
    "n²": "n^2",
    "√n": r"\sqrt{n}",
    "I / steps": r"I / \text{steps}",
}
