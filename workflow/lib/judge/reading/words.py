"""The words with which judges state a score, in the languages that they are asked in.

All patterns are for the text of `plain_text`. Words of scripts with spaces stand alone; those of
Chinese, Japanese, Korean and Thai may be joined to others.
"""


def alone(words: str) -> str:
    """Return a pattern for words that are not part of longer ones; `_` separates words."""
    return rf"(?<![^\W_])(?:{words})(?![^\W_])"


_SCORE = (
    r"scores?|ratings?|grade|verdict|scoring"
    r"|\w{0,12}punktzahl|\w{0,12}punkte|\w{0,12}bewertung|gesamtnote|endnote|benotung"
    r"|notation|évaluation|puntuaci[oó]n|calificaci[oó]n|puntaje|valoraci[oó]n"
    r"|pontua[cç][aã]o|classifica[cç][aã]o|avalia[cç][aã]o|punteggio|valutazione|voto"
    r"|оценк[аиуой]{1,2}|балл(?:ов|а|ы)?|рейтинг|бал(?:ів|и)?|оцінка|ocena|wynik|punktacja"
    r"|puan[ıi]?|skoru?|nilai|điểm(?: số)?|beoordeling|cijfer|betyg|poäng|karakter|arvosana"
    r"|pisteet|hodnocení|skóre|βαθμολογία|النتيجة|الدرجة|التقييم|نتيجة|درجة|ציון|स्कोर|अंक"
)
_JOINED_SCORE = (
    r"점수|평점|총점|채점|득점|评分|評分|得分|分数|分數|总分|總分|打分|评级|スコア|評価|評点|点数"
    r"|得点|採点|総合点|合計点|คะแนน|평가"
)
# A label may have words between it and the number.
LABEL = rf"(?:{alone(_SCORE)}|{_JOINED_SCORE})"
# After these the number must follow at once, and nothing after it but the end of its statement.
CLOSE_LABEL = (
    r"(?:"
    + alone(r"notes?|nota|marks?|points|evaluation|assessment|judge?ment|result(?:at|ado|ato)?")
    + r"|结果|評定|评价|点|점|分)"
)
# Labels where the reply has nothing else.
LONE_LABEL = alone(r"(?:integer|number|answer|response|output|antwort|réponse|respuesta)(?: only)?")

OF_SOMETHING_ELSE = alone(
    r"models?|model's|correct|right|expected|reference|dataset|given|student's?"
)
# Before a number that takes back an earlier one.
CORRECTION = alone(
    r"wait|actually|correction|on second thoughts?|scratch that|reconsider\w{0,5}|revis\w{1,4}"
    r"|changed? my mind|too (?:generous|harsh|high|low)"
)

FINAL = (
    r"(?:"
    + alone(
        r"overall|final|finale?s?|finally|in total|total|totale?|sum|summary|altogether|composite"
        r"|combined|aggregate|global|globale|general|gesamt\w{0,16}|endnote|endpunktzahl"
        r"|insgesamt|endgültige?|finaler?|totaal|complessiv[oa]|итого|итог|итоговая|общая|общий"
        r"|финальная|ogólna|końcowa|razem|toplam|genel|tổng|المجموع|النهائية|अंतिम|कुल"
    )
    + r"|종합|총점|총합|총|전체|최종|전반|总|總|综合|綜合|最终|最終|总体|整体|総合|合計|全体|รวม)"
)
_FINAL_NOUN = (
    r"quality|performance|assessment|evaluation|impression|verdict|judge?ment|result|mark|value"
)
# "Overall: 75" is a label by itself, "Overall quality: 75" too.
FINAL_LABEL = rf"{FINAL}(?:[ _](?:{_FINAL_NOUN})\b)?"

_ASPECT = (
    r"accuracy|accurate|correctness|fluency|grammar|grammatical|clarity|coherence|relevance"
    r"|completeness|conciseness|style|tone|formality|helpfulness|spelling|creativity|depth"
    r"|understanding|similarity|format(?:ting)?|readability|factuality|consistency|precision"
    r"|adherence|detail|quality of|content|structure|logic|safety|usefulness|faithfulness"
    r"|genauigkeit|richtigkeit|grammatik|klarheit|stil|vollständigkeit|relevanz"
    r"|exactitude|précision|grammaire|clarté|pertinence|précision"
    r"|precisión|exactitud|gramática|claridad|fluidez|relevancia|precisão|clareza"
)
_JOINED_ASPECT = (
    r"정확[성도]|유창성|문법|명확성|완전성|관련성|적절성|일관성|准确性|准确度|準確|流畅|完整性|相关性"
    r"|清晰|语法|正確性|流暢|文法|明確さ|関連性|완성도|창의성|간결성"
)
ASPECT = rf"(?:{alone(_ASPECT)}|{_JOINED_ASPECT})"

# "I would give this" states a score; "the response gives 3" does not.
_FIRST_PERSON = r"(?:i|i'd|i'll|i’d|i’ll|i am|i'm|we|we'd|we'll|let me|let's|would)"
_GIVES = r"give|giving|assign|assigning|award|grant|say|go with|put|settle on|settle for|estimate"
VERB = (
    r"(?:"
    + alone(
        rf"{_FIRST_PERSON} (?:[\w'’]{{1,12}} ){{0,3}}(?:{_GIVES})"
        r"|scor(?:e|es|ed|ing)|rat(?:e|es|ed|ing)|grad(?:e|es|ed|ing)|evaluate|deserves?|deserved"
        r"|earn(?:s|ed)?|merits?|worth|receives?"
        r"|bewerte|gebe|vergebe|verdient|donne|donnerais|attribue|mérite|noterais"
        r"|doy|daría|asigno|merece|calificaría|califico|calificar|dou|daria|atribuo|darei"
        r"|assegno|merita|darei|оцениваю|ставлю|даю|oceniam|daję"
    )
    + r"|给|給|打|评为|評為|给予|给出)"
)
# Words that may stand right before the number, after a label or a verb and others.
BEFORE_NUMBER = (
    r"(?:[:=→>|'\"“”‘’«»(\[{`]|–|-(?= )|->"
    r"|(?<![^\W\d_])(?:is|be|of|as|at|an?|to|it|this|that|them|with|around|about|approximately"
    r"|roughly|by|say|response|answer|output|sentence|model|score|rating|reply|points?|just|only"
    r"|mere|solid|strong|decent|good|low|high|here|ist|beträgt|lautet|mit|von|auf|ca\.?|etwa"
    r"|ihr|ihm|antwort|est|un|une|de|à|lui|environ|es|una?|con|le|é|di|да|на|в|ответ|jest|na)"
    r"|[는은을를이가에]|약|是|为|為|约|は|を|が)"
)

UNIT = (
    r"(?:점(?!수|대|차)|点(?!数)|點|分(?!钟|鐘|之|の|析|别|布|割|数|數|制)"
    r"|(?:points?|pts?|punkten?|puntos?|pontos?|punti|баллов|балла|балл|poäng|điểm|puan|%|percent)"
    r"(?![^\W_]))"
)
# What may follow a number: the end of its statement, or words that go on without counting things.
GOES_ON = (
    r"(?:because|since|as|for|due|given|based|on|in|with|and|but|which|that|this|the|it|its|here"
    r"|so|although|though|while|indicat\w{1,5}|reflect\w{1,5}|overall|is|from|at|i|my|weil|da"
    r"|denn|für|auf|bewerten|car|pour|porque|por|para|ya|sobre|perché|per|потому|из|only|out|à|al?|dieser|der|die|est[ae]|cette)"
    r"(?![^\W_])"
)
PARTICLE = (
    r"(?:입니다|이다|이에요|예요|으로|로|을|를|은|이라|이며|이고|정도"
    r"|です|だ|と|を|で|とし|。)"
)

# A number near one of these is not the score that is given.
NOT_GIVEN = (
    r"(?:"
    + alone(
        r"best|worst|max|maximum|maximal|maximale?|highest|lowest|min|minimum|possible|top|passing|threshold"
        r"|average|mean|typical|baseline|expected|previous|reference|correct|instead of|rather than"
        r"|not|never|no|cannot|(?:would|could|might) have|deduct\w{0,4}|minus|subtract\w{0,4}|lose"
        r"|lost|penal\w{0,8}|prevents?|preventing|keeps?|keeping|kept|nicht|kein\w{0,2}|pas"
        r"|höchst\w{0,9}|mindest\w{0,4}|máxim[oa]|mínim[oa]|massimo|minimo|non|maks\w{0,6}"
    )
    + r"|n['’]t(?![^\W_])|감점|최고"
    r"|최대|최저|최소|만점|기준|평균|扣|减|減|最高|最低|满分|滿分|不|満点)"
)
# Right before the number, these make it a bound.
BOUND = (
    r"(?:(?<![^\W_])(?:above|below|under|over|at least|at most|less than|more than|up to|short of"
    r"|higher than|lower than|exceeds?|exceeding|mindestens|höchstens|über|unter|au moins|al menos)"
    r"(?: an?| the)?|[<≤≥]|(?<!-)>|超过|不到|低于|高于|최소|최대|이상|이하)\s?$"
)
PERFECT = alone(r"perfect|full|flawless|ideal|parfait\w?|perfekt\w{0,2}|perfect[oa]")
HYPOTHETICAL = alone(r"if|unless|were it|had it|wenn|falls|si|se|если") + "|만약|如果|もし"
# Turns of a sentence, after which what was said before them no longer holds for a number.
TURN = alone(r"but|so|therefore|thus|hence|however|yet|and i|and i'd|aber|also|mais|donc|pero|por")
# After the number: it is taken off, bounds the score, or belongs to another case.
TAKEN_BACK = (
    r"(?:\s?(?:points?|%|점|点|分)?\s?(?:were|was|are|is|을|를)?\s?"
    r"(?:deducted|off(?![^\W_])|taken|lost|removed|less|short|higher|lower"
    r"|감점|깎|차감|뺐|빼|부족|이상|이하"
    r"|미만|초과|차이|減点|以上|以下"
    r"|or (?:more|higher|above|below|less|lower)|and (?:above|up|below))"
    r"|\s(?:would|could|might|if|had|were|requires?|needs?)(?![^\W_])"
    r"|\s(?:is|was|seems|feels) (?:not|never|hardly|too)(?![^\W_])|\s(?:is|was)n['’]t(?![^\W_])"
    r"|[\s.,;…—–(]{1,5}(?:no|wait|hmm|actually|or rather|scratch that|sorry|make (?:that|it))"
    r"[\s.,:…—–]{1,4}(?:make (?:it|that) |it['’]s |it is |rather )?\d)"
)
# After "for the", these say that the score is of a part or of another response.
OTHER_PART = r"(?:first|second|third|former|latter|previous|last|earlier|other)(?![^\W_])"

NUMBER = r"(?<!\d)(?<!\d[.,])\d++(?:[.,]\d++)*+"
OUT_OF = (
    r"(?:/|(?:out of|of|over|from|von|sur|de|su|из|av|trên)(?= )(?: an?| maximal)?"
    r"(?: possible| maximum| total)?(?: of)?|中)"
)
TO = (
    r"(?:-|–|~|→|->|\.\.+|±|\+/-|(?:to|or|bis|oder|à|a|ou|o|u|или|до|até|hasta|tot|til)(?= )"
    r"(?: perhaps| maybe| even| possibly)?|から|または|か|到|至|或者?|에서|부터|내지|또는"
    r"|혹은|이나)"
)
# Mentions of the scale itself around its best number, {n}.
SCALE = (
    rf"(?:\(?(?:out of|von maximal|scale of|sur|sobre) {{n}}(?: ?{UNIT})?\)?(?=[\s:,;)=]|$)"
    rf"|{{n}} ?(?:점|点|分|points?) ?(?:만점|満点|满分|滿分|制)(?:에서|에|으로|중|기준|中|で|の)?"
    rf"|(?:만점|満点|满分|滿分)(?:은|이|为|是|は)? ?:? ?{{n}} ?(?:점|点|分)?|{{n}} ?[点分]中"
    rf"|(?:max(?:imum|imal|imale|imo)?\.?|highest)(?: possible)?"
    rf"(?: scores?| points?| ratings?| grade)? ?(?:is|of|being|[:=])? ?{{n}}(?: ?{UNIT})?"
    rf"|{{n}}[- ]point scale"
    rf"|{{n}} ?(?:is|being|=|means)(?: the)? (?:best|perfect|highest|max\w{{0,6}}))"
)
