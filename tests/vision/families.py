"""One small member of each family that is tested: name, size of the input, options. Families are timm's modules."""

# Transformers and other models with positions or windows take the size; convolutional ones take any.
SIZED = {"img_size": 32}

TIMM = {
    "vision_transformer": ("vit_tiny_patch16_224", 32, SIZED),
    "vision_transformer_hybrid": ("vit_tiny_r_s16_p8_224", 32, SIZED),
    "vision_transformer_relpos": ("vit_srelpos_small_patch16_224", 32, SIZED),
    "deit": ("deit_tiny_patch16_224", 32, SIZED),
    "eva": ("eva02_tiny_patch14_224", 28, {"img_size": 28, "num_classes": 5}),
    "cait": ("cait_xxs24_224", 32, SIZED),
    "coat": ("coat_tiny", 32, SIZED),
    "convit": ("convit_tiny", 32, SIZED),
    "maxxvit": ("maxvit_pico_rw_256", 32, SIZED),
    "mobilevit": ("mobilevit_xxs", 32, SIZED),
    "mlp_mixer": ("gmlp_ti16_224", 32, SIZED),
    "pit": ("pit_ti_224", 32, SIZED),
    "hiera": ("hiera_tiny_224", 32, SIZED),
    "mvitv2": ("mvitv2_tiny", 32, SIZED),
    "nest": ("nest_tiny", 32, SIZED),
    "swin_transformer": ("swin_tiny_patch4_window7_224", 32, SIZED),
    "swin_transformer_v2": ("swinv2_tiny_window8_256", 32, SIZED),
    "swin_transformer_v2_cr": ("swinv2_cr_tiny_224", 32, SIZED),
    "twins": ("twins_svt_small", 32, SIZED),
    "visformer": ("visformer_tiny", 32, SIZED),
    "vitamin": ("vitamin_small_224", 32, SIZED),
    "xcit": ("xcit_nano_12_p8_224", 32, SIZED),
    "gcvit": ("gcvit_xxtiny", 32, SIZED),
    "tiny_vit": ("tiny_vit_5m_224", 32, {}),
    "pvt_v2": ("pvt_v2_b0", 32, {}),
    "davit": ("davit_tiny", 32, {}),
    "metaformer": ("poolformer_s12", 32, {}),
    "edgenext": ("edgenext_xx_small", 32, {}),
    "efficientvit_mit": ("efficientvit_b0", 32, {}),
    "fastvit": ("fastvit_t8", 32, {}),
    "byobnet": ("mobileone_s1", 32, {}),
    "convmixer": ("convmixer_768_32", 32, {}),
    "convnext": ("convnext_atto", 32, {}),
    "inception_next": ("inception_next_atto", 32, {}),
    "mambaout": ("mambaout_femto", 32, {}),
    "cspnet": ("cs3darknet_focus_s", 32, {}),
    "densenet": ("densenet121", 32, {}),
    "efficientnet": ("tinynet_e", 32, {}),
    "mobilenetv3": ("mobilenetv3_small_050", 32, {}),
    "hardcorenas": ("hardcorenas_b", 32, {}),
    "ghostnet": ("ghostnet_050", 32, {}),
    "repghost": ("repghostnet_050", 32, {}),
    "fasternet": ("fasternet_t0", 32, {}),
    "hgnet": ("hgnetv2_b0", 32, {}),
    "hrnet": ("hrnet_w18_small", 32, {}),
    "nfnet": ("nf_regnet_b0", 32, {}),
    "regnet": ("regnetx_002", 32, {}),
    "resnest": ("resnest14d", 32, {}),
    "resnet": ("resnet18", 32, {}),
    "rexnet": ("rexnet_100", 32, {}),
    "senet": ("legacy_seresnet18", 32, {}),
    "sknet": ("skresnet18", 32, {}),
    "starnet": ("starnet_s050", 32, {}),
    "vovnet": ("ese_vovnet19b_slim_dw", 32, {}),
}

# Families of torchvision: its modules too.
TORCHVISION = {
    "convnext": ("convnext_tiny", 32, {}),
    "densenet": ("densenet121", 32, {}),
    "efficientnet": ("efficientnet_b0", 32, {}),
    "mnasnet": ("mnasnet0_5", 32, {}),
    "mobilenetv2": ("mobilenet_v2", 32, {}),
    "mobilenetv3": ("mobilenet_v3_small", 32, {}),
    "regnet": ("regnet_x_400mf", 32, {}),
    "resnet": ("resnet18", 32, {}),
    "shufflenetv2": ("shufflenet_v2_x0_5", 32, {}),
    "swin_transformer": ("swin_t", 32, {}),
    "vision_transformer": ("vit_b_32", 32, {"image_size": 32}),
}

# More than one vector for each image reaches the classifier, or it is a convolution: refused, and told why.
REFUSED = {
    "crossvit": ("crossvit_tiny_240", "several classifiers"),
    "dla": ("dla34", "convolution"),
    "dpn": ("dpn48b", "convolution"),
    "efficientformer": ("efficientformer_l1", "several classifiers"),
    "efficientvim": ("efficientvim_m1", "several classifiers"),
    "levit": ("levit_128s", "several classifiers"),
    "repvit": ("repvit_m1", "several classifiers"),
    "resnetv2": ("resnetv2_50", "convolution"),
    "swiftformer": ("swiftformer_xs", "several classifiers"),
    "volo": ("volo_d1_224", "several classifiers"),
}


def table() -> str:
    """The covered families as a Markdown table."""
    rows = [
        f"| {library} | {family} | `{name}` |"
        for library, families in (("timm", TIMM), ("torchvision", TORCHVISION))
        for family, (name, _, _) in sorted(families.items())
    ]
    return "\n".join(["| library | family (module) | tested member |", "|---|---|---|", *rows])
