"""Tables: affixes, words of the trade, and keys that lie side by side."""

from __future__ import annotations


def _table(text: str) -> frozenset[str]:
    return frozenset(text.split())


# What impostors put before or after an owner. Long ones are seen even when written together with it.
OWNER_AFFIXES = _table(
    """
    ai app co com corp dev hf hub huggingface inc io lab labs llc model models net official officially
    org original real research team the verified www
    """
)
GLUED_AFFIXES = ("official", "research", "models", "model", "team", "labs", "verified")
GLUED_SHORT_AFFIXES = ("ai", "hf", "the", "hub", "inc", "lab", "org", "real", "com", "io")

# Words that claim to be the genuine thing, and words that make a name sound like an organisation's.
NAME_CLAIMS = _table(
    """
    authentic genuine official officially original real the verified
    """
)
NAME_AFFIXES = _table(
    """
    ai com hub inc lab labs org team
    """
)

# Words that say nothing about whose model it is.
GENERIC = _table(
    """
    all and answering base captioning cased chat chinese class classification code coder conll data demo
    detection dev diffusion distill distilled document dutch embed embedding embeddings emotion english
    expert fast finetuned for french full german handwritten image imdb instruct it language large
    latest llm long lora math medium merged micro mini mix mnli model models mrpc multi multilingual
    nano neo ner new nli omni open paraphrase plus pretrained preview printed pro qa question rerank
    reranker research segmentation semantic sentence sentiment small spanish speaker speech squad sst
    stable stsb super test text tiny token turbo tweet twitter uncased vae version video vision vqa with
    wtq xlarge xnli xsum xxlarge
    """
)

# Words of the trade: a token that is one of these is another model, task, language or format, not a slip of
# the finger. The words of the protected names themselves are added by the index.
KNOWN = _table(
    """
    abliterated adapter agent albert alpaca apertus arabic arctic audio autoencoder awq aya baichuan
    bark bart base bert bertweet bio biogpt biomed biomedical bits blip bloom bloomz bnb cased causal
    chat chinese classifier clinical clip code codegen coder coding command conv convbert cot ctc custom
    cvt czech danish dbrx deberta deit demo dense detr dialog dialogue dino dinov discriminator distil
    distill distilled dit dolly dolphin donut dpo dpt dutch electra elm embed emoji emotion encoder
    english ernie esm exaone exl exllama falcon fast finance financial finbert finetune finetuned
    finnish flan flash flax float flux fnet french ft full funnel gemma generator german ggml gguf giant
    glm glue gold gpt gptq granite greek grok grpo guanaco ham hate hebrew hermes hindi hubert huge
    hungarian hyperclova ibert icelandic image imatrix imdb indic inst instruct instruction instructor
    int internlm internvl italian jamba japanese java jet joint korean kosmos large latin legal levit
    lfm light lilt lite llama llava long longformer lora luke lxmert mamba marian mask masked math maths
    matryoshka maverick maxvit mbart mcqa med medical medium mega megatron merge merged micro mini
    minicpm minilm ministral mistral mit mix mixed mixtral mlx mnli mobile mobilebert mobilenet
    mobilevit moe mono moonlight mpnet mpt mrpc msmarco mt multi multitask muse music nano nemo nemotron
    ner news nli nllb norwegian nova nystrom olmo omni onnx opt orca orpo paligemma parler pegasus
    perceiver persian phi phobert pixtral poetry polish pool poolformer portuguese pos prefix preview
    prm pro prompt ptq python qa qat qdqbert qlora quant quantized quora qwen race rag raw reader realm
    reason reasoner reasoning redpajama reft regnet rembert resnet review reviews reward rlhf roberta
    roformer romanian russian rwkv safe safety sam scientific scout seg segformer segment sentiment sft
    siglip small smol smollm social solar spam spanish speaker speech splade splinter sql squad
    squeezebert stable starcoder stsb student style summarization summarizer super swallow swedish swin
    talk tapas teacher tele test text thai think thinker thinking tied tiny tinyllama tool toxic
    toxicity train translate translation tts tulu turbo turkish tweet tweets twitter ukrainian ultra
    uncased uncensored unet unified unilm urdu vicuna video vietnamese vilbert vilt vision vit vits
    vivit voice wav wavlm whisper wikitext wizard xglm xl xlarge xlm xlnet xlsr xsmall xxl xxlarge
    xxsmall yalm yi yolo yolos zamba zephyr zero
    """
)

_KEYS = ("1234567890-", "qwertyuiop", "asdfghjkl", "zxcvbnm")


def _key_neighbours() -> dict[str, str]:
    """Keys that touch on a QWERTY keyboard: left, right, and the two above and below (rows are staggered)."""
    near: dict[str, set[str]] = {}
    for row, keys in enumerate(_KEYS):
        for column, key in enumerate(keys):
            beside = {keys[c] for c in (column - 1, column + 1) if 0 <= c < len(keys)}
            above = _KEYS[row - 1] if row else ""
            beside |= {above[c] for c in (column, column + 1) if c < len(above)}
            for other in beside:
                near.setdefault(key, set()).add(other)
                near.setdefault(other, set()).add(key)
    return {key: "".join(sorted(others)) for key, others in near.items()}


KEY_NEIGHBOURS = _key_neighbours()
