"""What servers say, as patterns: families of wordings of one meaning, in the languages that servers speak.

Each is a regular expression for Reply.words: one line, without accents and curly quotes; case does not count. What
lies between two words is bounded, so that each takes time linear in the text. tests/unit/delivery/replies.py has the
servers' own words, each with where it is published.
"""


def near(*parts: str, within: int = 40) -> str:
    """The parts in this order, with at most `within` characters between one and the next."""
    return rf".{{0,{within}}}".join(f"(?:{part})" for part in parts)


def either(*parts: str) -> str:
    return "|".join(f"(?:{part})" for part in parts)


# fmt: off
_ALLOWED = r"(allowed|authori[sz]ed|permitted|entitled|configured|permissions?|privileges?|rights?)"
_DENIED = (
    r"\b(denied|refused|rejected|prohibited|forbidden|disallowed|blocked|disabled|restricted|unauthori[sz]ed|"
    r"not (be |been )?(allowed|permitted|authori[sz]ed|supported|accepted|enabled|available|possible))\b"
)
_STOPPED = (
    r"(temporarily |currently |permanently )?\b(suspended|paused|denied|disabled|blocked|prohibited|restricted|"
    r"deactivated|terminated|barred|banned|frozen|stopped|closed|turned off|on hold|under review|black ?listed|"
    r"not (allowed|enabled|permitted))\b"
)
_STOPPED_OR_LOCKED = rf"({_STOPPED}|\block(ed|out)\b)"
# What cannot be sent is then about the one it is for.
_NOT_TO_SOMEBODY = r"(?!( (e-?)?(mails?|messages?))? to (this|that|the|\(address\)))"
_PERIOD = (
    r"(\b(hourly|daily|weekly|monthly)\b|\b(per|an|each|every|one|this|last|past) (\d+ )?(hours?|days?|months?|"
    r"minutes?|weeks?)\b|/ ?(hour|day|month|minute)\b|\b24[ -]?h((ou)?rs?)?\b|\btoday\b|pro (stunde|tag|minute)|"
    r"stu?e?ndlich|ta?e?glich|par (heure|jour|minute)|por (hora|dia|minuto)|all'ora|orari[oa]\b|giornalier[oai]|"
    r"al giorno|per (uur|dag)|na (godzine|dobe)|dzienn|в (час|сутки|день)|每(小时|天|日|分钟)|1日|1時間)"
)

# --- Our pace -----------------------------------------------------------------------------------------
# Not a mailbox's limit, and not that of a size.
_SENDING = (
    r"\b(send\w*|submi\w+|outgoing|outbound|outmail|credits?|throttling|transmission)"
    r"((?!mail ?box|inbox|recipient|storage|disk|size|space|thread|rate|connect).){0,20}"
)
_LIMIT = r"\b(limits?|quotas?|allowance)\b"
_EXCEEDED = r"\b(exceed\w*|reach\w*|exhausted|used up|surpass\w*|over|hit)\b"

MAILBOX_RATE = either(
    near(r"\b(mailbox|inbox|recipient|user|account)('s)?\b", r"\b(receiv|gett?)(e|es|ed|ing|s)\b",
         r"too (many|much|quickly|fast|often)|at a rate|" + _LIMIT),
    near(_LIMIT, r"\b(of|for|on|to)\b", r"\breceiv(e|ed|ing)\b|\bincoming\b", within=12),
    near(r"(?<!external )\brecipient('s)?\b(?! address)", r"(per|an|each|every) (hour|day|minute)|rate limit",
         within=60),
    near(r"\b(to|for|by) (this|that|the same) (recipient|mailbox)\b", r"(per|an|each|every) (hour|day)"),
    near(r"\b(mailbox|inbox|recipient|user|account)('s)?\b", r"\b(may|can|to) receive\b",
         r"\b(per|an|each|every) (hour|day|minute)", within=60),
    near(r"\b(recipient|mailbox|inbox)('s)?\b(?!.{0,60}\b(sen[dt]|sending|outgoing|outbound)\b)",
         r"\b(daily|hourly)\b", _LIMIT, within=20),
    near(r"\bincoming\b", _LIMIT),
    near(r"recipient address rejected", r"\b(recipients?|domains?) (domain )?(hourly |daily )quota"),
    r"receiving (mail too quickly|limits?)|recipient thread limit|too many recent messages",
    r"mailbox received too|messages to \S+ deferred due to excessive",
)
SENDING_QUOTA = either(
    near(r"\b(limits?|quotas?|allowance|max|maximum|maxim[oa]|massim[oi]|exceed\w*|reach\w*|too (many|much)|"
         r"more than|only)\b", _PERIOD, within=60),
    near(_PERIOD, _LIMIT, _EXCEEDED, within=30), near(_PERIOD, _EXCEEDED, within=8),
    near(_SENDING + _LIMIT, _EXCEEDED, within=25), near(_EXCEEDED, _SENDING + _LIMIT, within=25),
    near(r"\byou('ve| have)? (now |already )?(exceeded|reached|used up)\b", _LIMIT),
    near(r"\byour (account|domain|organi[sz]ation|plan)\b", r"(exceeded|reached)\b", _LIMIT),
    r"max defers and failures|submission ?quota|maximum credits|messaging limits|sender throttled due",
    r"\byou (have |'ve )?(already )?sent too many|(no|out of|insufficient) (more |remaining )?credits",
    near(r"\bcredits\b", r"\b(used up|exhausted|exceeded|consumed)\b", within=15),
    near(_LIMIT, r"\b(this|your|the) (\w+ )?(plan|package|subscription)\b", r"\b(reached|exceeded)\b", within=15),
    r"frequency (is |has been )?(limited|exceeded)|\bmi:sfq\b|\bhl:if[cq]\b",
    near(r"(versand|sende)\w*(limit|quota|kontingent)\w*", r"(erreicht|u?e?berschritten|ausgescho?e?pft)"),
    near(r"\b(limite?|quota|cuota|cota)\b", r"(d'|de |di )?(envoi|envio|invio)|sortant|saliente",
         r"depasse|atteint|excedid|superad|superat|alcanzad|raggiunt|ultrapassad|atingid"),
    near(r"depasse|atteint|excedid|superad|superat|alcanzad|raggiunt|ultrapassad|atingid|excede",
         r"\b(limite?|quota|cuota|cota)\b", r"(d'|de |di )?(envoi|envio|invio)|sortant|saliente"),
    near(r"(tages|stunden|monats)(limit|kontingent|quota)", r"erreicht|u?e?berschritten|ausgescho?e?pft"),
    near(r"превышен|исчерпан", r"лимит|ограничени", r"отправ|исходящ|писем|сообщени"),
    near(r"przekroczon", r"limit", r"wysyl|wysył|wiadomo"),
    r"(发送|发信|发件)(数量|频率|频次|总数)?.{0,6}(超|上限|限制)|送信(数|制限|上限).{0,12}(超|上限|達)",
)
HELD_BACK = either(
    r"unusual (rate|amount|number|volume|sending|outbound|outgoing)|blocked for (the day|attempting)|flooding our",
    r"(too many|excessive) (invalid|unknown|bad|rejected|unwanted) (recipients|users|addresses|messages)",
    r"excessive authentication failures",
)
HELD_BACK_FOR_NOW = r"temporarily (been )?(rate limited|deferred|blocked|black ?listed)"
TOO_FAST = either(
    r"too many (?!unwanted|invalid|\w+ (stored|on the server|in (\w+ )?(mail ?box|inbox)))"
    r"(\w+ ){0,3}(connect\w*|sessions|messages|logins?|auth\w*|mails?)\b|"
    r"too many recipients from|too many errors from your",
    r"too much (mail|load)\b(?! data)|too (frequent|fast|quick)\b|(send\w*|connect\w*) too (fast|often|many|"
    r"much|quickly)",
    r"connections? (rate )?limit|thread limit|relay limit|throttl|rate.?limit|sending rate|submission rate",
    r"\brates? (limit )?(is |has been |was )?exceed|exceeds? .{0,30}\brate\b|try again slower|slow down",
    r"messages? per (connection|session|second)|authenticate too many times",
    near(r"zu viele|trop de|demasiad[oa]s|tropp[ei]|muit[oa]s|te veel|zbyt (wiele|duzo|dużo)|слишком много",
         r"verbindung|nachricht|e?-?mail|anmelde|connexion|message|conexion|mensaj|correo|connession|messagg|conexo|"
         r"mensage|verbinding|bericht|poła?cz|polacz|wiadomo|соединени|сообщени|писем"),
    r"(过于|太|请求)频繁|同時接続",
)

# --- Our set-up: name, encryption, sign-in, relaying --------------------------------------------------
NO_REVERSE_NAME = (
    r"\bptr\b|find your (reverse )?hostname|reverse[ -]?dns|\brdns\b|reverse (lookup|name|hostname)|"
    r"ip name lookup failed|forward dns"
)
OUR_NAME = (
    r"(helo|ehlo) (command rejected|rejected|argument|requires|invalid)|bad helo|invalid (helo|ehlo|"
    r"domain name)|\bhelohost error|"
    r"\b(helo|ehlo) (host)?name (does not|doesn't|could not|cannot) (be )?(resolve|exist|found)"
)
_TLS = (
    r"(\b(start ?tls|tls|ssl)\b|\bencryption\b|\bencrypted (connection|session|channel)|"
    r"\bsecured? (connection|channel|session|transport|link))"
)
OLD_TLS = either(
    near(r"\b(tls|ssl) ?v?(1\.[01]|[23])\b", r"not (supported|allowed|accepted)|deprecated|disabled|no longer"),
    near(r"\b(tls|ssl) (version|protocol)", r"\b(old|unsupported|deprecated|obsolete|not supported)\b", within=20),
    r"(tls|ssl) ?v?1\.[23] (or|and) (newer|later|higher|above)|minimum (tls|ssl)",
)
WANTS_TLS = either(
    rf"{_TLS}( or [\w/-]+|[ /-]connections?| first){{0,3}} ?(is |are |be )?(required|mandatory|needed|enforced|"
    rf"necessary)\b",
    near(r"\b(must|have to|need to|needs to|should|please|bitte|requires?|required to|needs)\b", _TLS, within=25),
    near(r"\b(connect\w*|sessions?|send|submi\w+|auth\w*|log ?in|relay\w*|e?-?mails?|messages?|accept\w*)\b",
         r"\b(without|only (over|via|with|on))\b", _TLS, within=15),
    near(r"\b(not|n't) (sent |using |use )?(over|using|use|via)\b", _TLS, within=8),
    near(r"\b(insecure|unencrypted(?! (\w+ )?(data|information))|non-?tls|plain ?text|clear ?text)\b", _DENIED),
    near(r"verschlu?e?sselt|verschlu?e?sselung|chiffre|cifrad|crittograf|versleutel|szyfrow|шифров|(tls|ssl)",
         r"erforderlich|notwendig|noe?tig|requis|obligatoi?r|necessari|vereist|verplicht|wymagan|требуется|необходим",
         within=25),
)
THEIR_TLS = r"tls (is )?required (for|by) (the )?(rcpt|recipient)|\brecipient('s)?( \w+)? requires tls\b"
NO_TLS_AT_THEIRS = either(
    r"tls (is )?required,? but (was )?not (supported|offered)|requiretls",
    near(r"\b(remote|recipient('s)?|destination) (mail ?)?(server|host)", r"not (support|offer)\w*", r"tls",
         within=20),
)
_SIGNED_IN = r"(authenticat\w+|authenti[sz]ed|log(ged)?[ -]?in|sign(ed)?[ -]?in|authori[sz]ed first)"
# Said beside "relaying denied", these name the remedy.
ASKS_TO_SIGN_IN = either(
    rf"\b(must|have to|need to|please|should)( first)?( be)? {_SIGNED_IN}", r"\bwithout (\w+ )?authenticat",
    near(r"\b(turn on|turned on|enable|switch on|use|activate|check|issue|send)\b",
         r"\b(smtp[ -]?auth|authentication|"
         r"auth command)", within=20),
    r"only .{0,20}authenticated (users|clients)|authenticated (users|clients) (only|may|can)\b",
    r"check (for )?(your |new )*((e-?)?mails?|mailbox) (first|before)|smtp auth\w* (failed|missing)|kein\w* relay",
    r"\bauthenticate (yourself|before|first|with|using)\b|\blog in first\b|auth\w* (is )?(not )?turned on in your|"
    r"(smtp|pop3?)[ -](after|before)[ -](pop|smtp)|\berst .{0,12}(abrufen|abholen)\b",
    near(r"\b(ohne|sans|sin|senza|sem|zonder|bez)", r"anmeldung|authenti|autenti|uwierzytelni|logowani", within=12),
    near(r"aktivier\w*|activ\w+|habilit\w+|attiv\w+|wlacz\w*|включите", r"smtp-?auth|authenti|autenti|uwierzyt|аутенти",
         within=25),
    r"nicht (authenti\w+|angemeldet|eingeloggt)|(non|pas) (authentifie|identifie)|(no|non|nao) autentic|"
    r"niet (ingelogd|aangemeld|geauth)|nie (zalogowan|uwierzytelnion)|не (авторизован|аутентифицирован)",
)
SIGN_IN_FAILED = r"^(smtp )?authenti\w+ (has )?(fail\w+|(credentials )?invalid)"
WANTS_SIGN_IN = either(
    r"\b(smtp[ -]?)?(auth|authenti(fi)?cation|authori[sz]ation|login|sign-?in) (is |are )?(required|needed|mandatory|"
    r"necessary|expected)",
    r"\brequires? (\w+ ){0,3}(auth|authentication|authori[sz]ation|log ?in|sign[ -]?in)\b",
    r"^(please )?(authenticate|auth|log ?in) first\b",
    rf"(\bnot|\bn't) {_SIGNED_IN}(?! (for|since|in (the|over)|within))|not (yet |been )+authenticat",
    r"unauthenticated (senders?|mail|relay\w*|connections?|clients?|users?|smtp)\b.{0,12}\bnot\b|pop before smtp",
    near(r"authentifi[zc]ier|authentisier|anmeldung|smtp-?auth|identifikation|authenti(fi)?cat|autenti[fcz]|"
         r"uwierzytelni|autoryzacj|logowani|аутентификаци|авторизаци|identifi|autentis|overe|overo|inlogg|palogg|todennus|"
         r"hitelesit",
         r"erforderlich|notwendig|noe?tig|fehlt|requis|obligatoi?r|necess?ari?|necesari|requerid|exigid|"
         r"richiest|vereist|"
         r"verplicht|nodig|wymagan|konieczn|требуется|необходим|krav|kraev|krev|vyzadovan|nutn|vaaditaan|szukseges"),
    r"\bbitte .{0,20}(smtp-?auth|anmelden|authenti)|\b(maste|maa?|skal) (logga in|logge (inn|pa)|log(ge)? ind)|"
    r"identifiez-vous",
    near(r"mu?e?ssen sich|necesita|necessario|precisa|veuillez|vous devez|"
         r"debe|devi|requiere|richiede|requer|moet|wymagan\w*|"
         r"konieczn\w*|требуется|необходим\w*|нужн\w+", r"authenti|anmelden|inloggen|identifi|autentic|uwierzyteln|"
         r"autoryz|аутентифи|"
         r"авториз", within=25),
    r"(需要|要求|必须|请先|没有|未).{0,8}(身份验证|认证|验证|登录)|認証.{0,10}(必要|して)",
)
_RELAY = r"\brelay(ing|s|ed)?\b(?!=|\[|\.\w)"
NO_RELAY = either(
    near(_RELAY, _DENIED, within=50), near(_DENIED, _RELAY, within=12),
    rf"(\b(unable to|cannot|can't|won't|(do|does|will|can)( not|n't)|not {_ALLOWED} to|refus\w+ to|den(y|ies)|no|"
    rf"not an? open)|n't {_ALLOWED} to)( be)? {_RELAY}", near(r"\bas an? (open )?relay\b", r"\b(not|denied|refus)"),
    r"allowed rcpthosts?|delivery is not allowed to this address|invalid credentials for relay|insecure mail relay",
    r"not a (gateway|relay)\b|(don't|do not) (handle|accept|process) mail for|not local host|local users? only|"
    r"only (accepts?|takes?) (e?-?mails?|messages?) for local|no esta autorizad\w+ (a|para) enviar|"
    rf"not {_ALLOWED} to (send|use)\b.{{0,20}}\b(through|via) (this|our) (server|host|system|mta)|"
    r"not (in|on) (the |our )?list of .{0,20}relays|\b(open ?)?relay check\b",
    near(r"\bforwarding\b", _DENIED, within=25),
    near(r"\b(remote|external|outside|foreign|non-?local) (recipients?|domains?|hosts?)\b", _DENIED, within=8),
    near(r"\brelay\w*|\brelais|weiterleit\w+|reenvio|retransmissao|doorsturen|przekazywani\w+|ретрансляци\w+|"
         r"пересылк\w+",
         r"nicht (erlaubt|gestattet|zula?e?ssig|mo?e?glich)|verweigert|abgelehnt|verboten|no (permitid|"
         r"autorizad)|denegad|"
         r"rechazad|refuse|interdit|non autoris|non (consentit|autorizzat|permess)|negat|negad|nao (permitid|"
         r"autorizad)|"
         r"niet (toegestaan|toegelaten)|geweigerd|zabronion|niedozwolon|odrzucon|запрещ|не разреш|отклон|"
         r"(ikke|ej|inte) til+a[td]|neni povolen|nem engedely|ei (ole )?sallit"),
    r"(no se permite|nao e permitido|non e (consentito|permesso)) .{0,15}(relay|reenvi|inoltr)|"
    r"(拒绝|禁止|不允许|不支持)(中继|转发)|(中继|转发)被?(拒绝|禁止)|"
    r"(中継|リレー).{0,12}(拒否|許可|禁止|できません)",
)

# --- Our set-up: what a provider says to a sign-in ----------------------------------------------------
PASSWORDS_OFF_AT_MICROSOFT = (
    r"smtpclientauthentication is disabled|basic auth\w* (is|has been) disabled|did not meet the criteria|"
    r"security defaults"
)
PASSWORDS_OFF = either(
    near(r"\b(basic|password|legacy|plain)[ -](based )?(auth\w*|sign-?in|login)",
         r"not (be )?supported|no longer|retired|"
         r"deprecated|removed|turned off|disabled|not (be )?(allowed|accepted)"),
    r"\bplain[ -]?text (auth\w*|sign-?in|log-?in|passwords?) (is |are |has been )?"
    r"(no longer|not|deprecated|retired|removed)\b"
    r"(?!.{0,60}\b(secure|tls|ssl|encrypt\w*)\b)",
    r"less secure app", near(r"\b(oauth|xoauth2|modern auth\w*)\b", r"\b(only|required|must|instead)\b", within=25),
)
SIGN_IN_BLOCKED = r"conditional access|blocked by (a |your )?(\w+ )?polic"
REFUSED_CREDENTIALS = (
    r"\b(wrong|bad|invalid|incorrect)\b.{0,30}\b(password|credentials?)|"
    r"\b(password|credentials?)\b.{0,30}\b(wrong|bad|invalid|incorrect|rejected)\b"
)
APP_PASSWORDS = (
    r"app(lication)?([ -]specific)?[ -]password|authori[sz]ation code|(client|device)[ -]specific password|"
    r"(two|2|multi)[ -]?(factor|step)|\b2fa\b|\bmfa\b|parol prilozheni|пароль приложени|授权码|no=1001256"
)
BROWSER_SIGN_IN = r"(log|sign) in (with|via|through|using) your web browser|webloginrequired|verify (that )?it'?s you"
PROGRAMS_OFF = either(
    near(r"\b(smtp|imap|pop3?|external (programs?|clients?|access))\b",
         r"not (been )?(activated|enabled|switched on|opened)|(is |are |access )?disabled|deactivated|"
         r"nicht (aktiviert|freigeschaltet)|未(开启|开通|启用)|выключен|отключен"),
    r"does not have access rights to this service|(没有|未)(开启|开通)|freischalt\w+.{0,30}(pop|imap|smtp)",
)
NO_SIGN_IN_HERE = r"auth\w* (is )?not (allowed|available|supported|permitted) (on|at|here)|auth\w* not enabled"
NEW_PASSWORD = either(
    near(r"\bpasswor[dt]\b", r"\b(has |is )?expired|must (be )?change|(is )?too (old|weak|simple|short)|abgelaufen|"
         r"needs? to be (changed|reset)"),
    r"(change|reset|renew) (your|the) password|password (change|reset) (is )?(required|needed)",
)
LOCKED = either(
    near(r"\b(account|user|mailbox|login|sign-?in|address)\b", r"\block(ed|out)\b|locked[ -]?out"),
    near(r"\block(ed|out)\b", r"\b(account|user|login)\b", within=20),
    near(r"konto|compte|cuenta|conta|учетн\w+|аккаунт", r"gesperrt|verrouille|bloque|bloquead|zablokowan|"
         r"заблокирован"),
    r"account bloccato|(帐|账)(号|户)(已?被)?(锁定|冻结)|アカウント.{0,6}ロック",
)
ACCOUNT_STOPPED = near(
    r"\b(account|user|mailbox|tenant|organi[sz]ation|customer|subscription|login|smtp (access|service))\b",
    _STOPPED)
# What is about the account that sends also where a recipient's might be meant.
SENDING_STOPPED = either(
    near(r"\byour\b(?! (e-?)?(mails?|messages?)\b(?! (service|account|access|sending|domain|server)))",
         r"\b(account|domain|service|organi[sz]ation|tenant|access|subscription|plan|mailbox|smtp|"
         r"sending)\b",
         _STOPPED_OR_LOCKED, within=25),
    near(r"(?<!error )(?<!while )(?<!problem )(?<!failure )"
         r"\b(sending|submission|send(ing)? (e-?)?mails?|outgoing|outbound)\b"
         + _NOT_TO_SOMEBODY, _STOPPED, within=25),
    near(r"\b(sending|submission) (from|by|for|of) (this|your|the) (account|user|domain|mailbox)\b", _STOPPED),
    near(r"\b(account|domain|user)\b", _STOPPED, r"\b(sending|outbound|send)\b" + _NOT_TO_SOMEBODY, within=25),
    near(r"\b(sender('s)? (account|mailbox|domain)|(mailbox|account) of (the )?sender)\b", _STOPPED_OR_LOCKED),
    r"not authori[sz]ed to perform|\byour (e-?mail )?address (has been|was|is) blocked due to",
    near(r"\b(votre (compte|domaine)|ihr(e|en)? (konto|account|zugang)|su cuenta|sua conta|il (tuo|suo) account|"
         r"uw account|(twoje|panstwa) konto|ваш(а)? (аккаунт|учетная запись))\b",
         r"suspend|bloque|gesperrt|bloccat|sospes|geblokkeerd|zablokowan|заблокирован", within=25),
    r"(outgoing|outbound) mail suspension|is not allowed to send:|bad outbound sender|activate your \w+ account|"
    r"outboundspam|refusequota|"
    r"spam abuse detected",
    r"tenant has exceeded|tenant is blocked|your (\w+ ){0,2}(account|service|"
    r"domain) .{0,20}not (yet )?(been )?(activated|"
    r"approved|enabled)",
    r"pending (approval|activation)|awaiting (approval|activation)|account (is )?(under review|compromised)|"
    r"compromised",
    near(r"(konto|postfach|versand)", r"fu?e?r den versand gesperrt|versand .{0,12}gesperrt"),
    near(r"envoi|envio|invio|отправк\w+", r"suspendu|bloque|suspendid|bloquead|sospes|bloccat|заблокирован|"
         r"приостановлен"),
)

# --- Our set-up: the sender ---------------------------------------------------------------------------
_SENDER = (
    r"\b(sender|from|mail ?from|envelope|return[ -]?path|reverse[ -]?path|absender|expediteur|remitente|"
    r"mittente)\b"
)
NOT_OUR_SENDER = either(
    r"send ?as ?denied|send as this sender|not owned by|verified sender|relaying disallowed|sender signature|"
    r"authori[sz]ation failed: (envelope )?from\b|"
    r"only (send|use)\b.{0,25}\byour own\b",
    r"not (one of )?your (own )?(e-?mail )?(address|alias)|sender\b.{0,30}\bmismatch",
    rf"\b(not|n't|no|without|lacks?)\b.{{0,30}}\b{_ALLOWED} (for you )?to (send|use|submit)( an?| any| the|"
    rf" this| your)?"
    r"( (e-?)?mails?| messages?)?( \S+){0,3} (as|from|on behalf of)\b(?! (this|your|that|an?|the) ip| [\[(]?\d)",
    near(_SENDER, r"(\b(not|must|should|has to|needs? to|differs?|different)|n't)\b",
         r"\b(match\w*|equal\w*|same|identical|correspond\w*|belongs?|the auth\w*)\b", within=30),
    near(r"\bauth\w*\b", r"\b(different|differs?|not match|n't match|mismatch)\w*\b", r"\bsender\b|\bfrom\b",
         within=20),
    near(r"\b(sender|from|sending|your)\b", r"not (been )?(yet )?(verified|validated|confirmed|registered|configured|"
         r"approved)\b", within=25),
    r"(unverified|unconfigured|unregistered|unvalidated|unauthori[sz]ed) (sender|sending|from)\b",
    r"\bsender( e-?mail)?( address| domain)? (is |was )?not (allowed|permitted|authori[sz]ed)\b",
    near(r"absender\w*|expediteur|emetteur|remitente|remetente|mittente|afzender|nadawc\w+|отправител\w+",
         r"nicht (erlaubt|zugelassen|gestattet|berechtigt|"
         r"verwende[nt]|benutz\w+)|geho?e?rt nicht|stimmt nicht|non autoris|pas autoris|"
         r"no (esta )?"
         r"(autorizad|permitid)|nao (autorizad|permitid)|non (autorizzat|consentit|permess)|niet (toegestaan|"
         r"geautoriseerd)|"
         r"niedozwolon|nie .{0,10}(zgodn|należ|nalez)|не (разреш|принадлеж|совпада|соответ)"),
    r"(发件人|发信人).{0,12}(不一致|不匹配|不符|不合法)|(差出人|送信者).{0,20}(許可|一致)",
)
# Where the server may be about to tell of a recipient, "the address" is not yet the sender's.
SENDER_UNKNOWN_THERE = (
    r"(?<!recipient )(?<!to )\b(address|domain|identity|identities)\b.{0,25}\bnot (been )?(yet )?(verified|validated|"
    r"confirmed|registered)\b"
)
SENDER_BARRED = (
    r"\bsender (e-?mail )?address ((was |is |has been )?(blocked|banned|barred|black ?listed)\b|"
    r"rejected: (access denied|blocked|banned|black ?listed))|\bsender blocked\b|badmailfrom"
)
# Two fields of the same message that contradict each other.
_ENVELOPE = r"\b(envelope|mail ?from|return[ -]?path)\b"
_DIFFERS = r"\b(not|n't) match|mismatch\w*|\bdiffers?\b"
FORGED = either(
    near(r"\bheader|\bfrom:", _DIFFERS, _ENVELOPE), near(_ENVELOPE, _DIFFERS, r"\bheader|\bfrom:"),
    near(r"\b(header from|from header|from:)", r"\b(invalid|not exist|not valid)\b", within=20),
)
BAD_SENDER = (
    r"sender (address )?(was )?(rejected|denied|refused|verify failed|syntax)|domain of sender|envelope sender|"
    r"invalid (sender|mail from)|sender address (must|syntax)|emetteur invalide|absender(adresse)? ungu?e?ltig"
)

# --- This machine -------------------------------------------------------------------------------------
_MACHINE = r"\b(ip|ip[ -]?address|client|host|server|machine|network|mta|\d{1,3}(\.\d{1,3}){3})\b"
MACHINE_BLOCKED = either(
    r"blocked using|\bdnsbls?\b|spamhaus|blocked - see|not (be )?accepted from|permanently deferred|\brbl\b",
    r"(\bip|host|client|network|\d\.\d).{0,60}((block|black) ?list|\blisted (at|by|in|on) )|(poor|bad|ip) reputation",
    near(_MACHINE, r"\b(is|has been|was|are) (temporarily )?(blocked|banned|barred|black ?listed)", within=30),
    near(r"\b(banned|blocked|black ?listed|black|bad)\b", r"\b(sending )?(ip|host)\b", within=3),
    near(r"adresse ip|ip-?adresse|direccion ip|indirizzo ip|endereco ip|ip-?adres|adres ip|ip-адрес",
         r"bloque|gesperrt|blockiert|abgelehnt|bloquead|bloccat|geblokkeerd|zablokowan|заблокирован"),
    r"^ip[=:] ?\[?\d",
    near(r"\b(your|sender|sending|client|source) ip( address)?\b",
         r"\b(rejected|refused|forbidden|denied)\b(?!.{0,100}\blater\b)", within=12),
    r"not (currently |yet )?accept\w* (any )?(e?-?mails?|messages|connections?) from (your|this) (ip|server|host|net)",
    r"(forbidden by|too many spams? from) your ip|"
    r"no access (from|for) (this )?(mail server|ip|host)\b|rejecting open proxy",
)
# After the content the reply may as well be about that: only what names this machine.
MACHINE_BLOCKED_AFTER_CONTENT = either(
    near(rf"\b(your|sending|client|this|the|bad|banned) (\w+ )?{_MACHINE}", r"\b(black|block) ?-?list|\b(is|"
         r"are) listed\b|"
         r"\b(in|on) an? (rbl|dnsbl)|\b(banned|blocked)\b"),
    r"banned sending ip|not accepted from this ip|client (host )?.{0,60}blocked|"
    r"messages from \[?\d.{0,160}\bblock list|"
    r"^ip address is (block|black) ?-?listed|\d\]? is listed on\b|\b(is|was) in an? (rbl|dnsbl)",
    r"reputation of the sending ip",
)
MACHINE_REFUSED = either(
    r"use (the|your) (smtp|mail) (server|relay|gateway) of your (isp|provider)|may not be (a )?mail exchanger|"
    r"dynamic ip",
    r"client host rejected|not allowed to connect|access to .*mail system has been rejected|host network not allowed",
    near(r"\b(unauthori[sz]ed|unknown|unrecogni[sz]ed) ip\b|\bip( address)?\b",
         r"\bnot (in the )?(authori[sz]ed|allowed|permitted|white ?listed|verified|recogni[sz]ed)", within=30),
    r"\bunauthori[sz]ed ip\b|\b(remote ip|smtpport) check error",
)

# --- The recipient ------------------------------------------------------------------------------------
_MAILBOX = r"\b(mail ?box|in ?box|mail ?folder|mail ?dir|mail ?drop|user|account|recipient)('s)?\b"
MAILBOX_FULL = either(
    r"quotaexceeded|too many (messages|mails) (stored|on the server|in (the|this|his|its))|"
    r"(mailbox|inbox|account) is at capacity|"
    r"quota of .{0,40}exhausted|over ?quota|over (the |their |its |his |allowed |disk |mail |"
    r"storage ){1,3}(quota|limit)",
    r"quota (usage )?(is |has been |was |of \S+ )?(exceed\w*|violat\w+|full|reached|used)|(exceed\w*|violat\w*) "
    r"(\w+ ){0,3}quota", near(_MAILBOX, r"\b(is |was )?full\b"), r"\bfull (mail ?box|in ?box)|(disk|"
    r"storage) (is )?full",
    near(_MAILBOX, r"\b(exceed\w*|over|reached|out of|no|not enough|insufficient)\b",
         r"\b(quota|size|storage|space|limit)\b"),
    near(_MAILBOX, r"quota|storage|space|size limit", r"\b(exceed\w*|reached|exhausted|full)\b", within=20),
    near(r"postfach|speicher", r"limit|kontingent", r"erreicht|u?e?berschritten", within=20),
    r"(exceed\w*|out of) (\w+ ){0,3}storage|storage (limit|allocation|capacity|space)\b.{0,20}(exceed|reach|full)|"
    r"not enough (storage )?space|out of storage|too much mail data|space has been used up|exhausted allowed storage",
    near(r"postfach|mailbox|empfa?e?nger\w*|speicherplatz", r"\b(voll|u?e?be?rfu?e?llt|erscho?e?pft|u?e?berschritten|"
         r"ausgescho?e?pft)"),
    near(r"boite|messagerie|espace|quota", r"\b(pleine?|saturee?|depasse)"),
    near(r"buzon|cuota|espacio|casilla", r"\b(lleno|llena|excedid|superad|agotad)"),
    near(r"casella|quota|spazio", r"\b(piena|superat|esaurit)"), near(r"caixa|cota|quota",
         r"\b(cheia|excedid|esgotad)"),
    near(r"postbus|postvak|mailbox|quota", r"\b(vol|overschreden)\b"), near(r"skrzynk\w+|konto", r"\b(prze)?pe[lł]n"),
    near(r"ящик\w*|квот\w*|места", r"переполнен|полон|заполнен|превышен|недостаточно"),
    r"превышен\w* .{0,20}(квот|размер)|(邮箱|信箱|容量|空间|配额).{0,6}(已满|不足|满|超)|超出(容量|配额)|"
    r"(メールボックス|受信箱|容量).{0,12}(一杯|いっぱい|満杯|超)",
)
FULL_FOR_GOOD = r"(no|not enough|not sufficient|insufficient) (disk |system )?(space|storage)"
# --- The content --------------------------------------------------------------------------------------
# Said of a message that went out it may sound as if the account were stopped.
BAD_FILE = r"\battach(ment|ed)s?\b|\bexecutables?\b|\bfile (type|extension)s?\b"
FORBIDDEN_CONTENT = (
    r"\bcontent (policy|rule|filter\w*)|\bdlp\b|\bdata loss|\bconfidential|\bmessage claims\b|"
    r"\bcontains the (word|phrase)s?\b"
)
MESSAGE_TOO_BIG = r"message (size exceeds|too (big|large))|email size exceeded"

# --- The recipient, continued -------------------------------------------------------------------------
_SOMEBODY = (
    r"\b((this|the|that|recipient('s)?) )?(recipient|mailbox|user|group|address|account|alias|distribution list)\b"
)
LOCKED_OUT = near(r"\b(recipient('s)?|mailbox)\b", r"\blocked\b", r"\b(too many|log-?ins?|attempts)\b")
FOR_INSIDERS = either(
    r"resolver\.rst\.(notauth|sendernot|auth)|not authenticated for (group|mailbox|public|organization)|"
    r"not in allowed-senders|members-?only",
    near(r"\b(not|n't|only)\b", rf"\b{_ALLOWED} to (send|post|write|mail|deliver)( \S+){{0,3}} to\b", within=20),
    near(_SOMEBODY + r"(?! rejected)", r"\b(requires?|only|restricted)\b",
         r"\b(senders|members|internal|inside|organi[sz]ation)\b", within=30),
    near(_SOMEBODY, r"\b(accepts?|takes?)\b", r"\b(senders|members|users) only\b", within=30),
    near(r"\bauth\w*|\blog-?in\b", r"\b(required|needed)\b",
         r"\bto (send|write|post|deliver|mail)\b.{0,10}\bto\b", within=5),
    near(r"\b(sending|submission|posting|e?-?mails?|messages?)\b", r"\bto (this|that|the) (\w+ )?(group|list)\b",
         r"\brestricted\b|\bnot (allowed|permitted|accepted)\b", within=15),
    r"nur (interne|authentifizierte|bekannte) absender|not (in|on) the list of (\w+ )?senders",
    r"(\bnot auth\w+|\bunauthenticated)((?!relay).){0,35}\b(for|to) (this|that|the) "
    r"(recipient|group|list|mailbox|user)\b",
    r"(only|by) (members|subscribers)|not subscribed to|closed (mailing )?list|non-?member",
)
UNWANTED_BY_RECIPIENT = either(
    near(_SOMEBODY, r"\b(only|does not|doesn't|will not|won't) (accept|take|want|receive)s?\b", r"\bfrom\b", within=15),
    rf"{_SOMEBODY} (has )?(blocked|refused|rejected) (the |this |your )?(sender|you\b|e?-?mails? from|messages? from)",
    near(r"\byour (e?-?mail|message)s? to (this|that|the)\b", r"\bblocked\b", within=25),
    r"not (on|in) (the |this )?recipient('s)? (\w+ )?(white|allow|safe) ?list",
    rf"not {_ALLOWED} to receive\b|\b(has|have) (opted out|unsubscribed)\b",
    r"not in whitelist for rcpt|customer block list|user (domain )?entry|(black ?listed|blocked|rejected|"
    r"refused) by (this |the )?"
    r"(user|recipient)|:blocked\)|due to (user rules|recipient preferences)",
)
# What a refusal speaks of that names no mailbox: the mail, who sends it, or from where.
NO_WORD_OF_A_MAILBOX = (
    r"^(?!.{0,400}\b(recipients?|mail ?box|user|account|addressee|rcpt|to:|this (e-?mail )?address|"
    r"exist\w*|unknown|not found|unbekannt|inconnue?|desconocid[oa]|sconosciut[oa]|nieznany|"
    r"onbekend|okand|ukendt|ukjent)\b)"
    r".{0,400}?\b(senders?|sending|from|your (ip|server|host|domain|mail)|ip|messages?|e-?mails?|headers?|connections?|"
    r"authenticat\w+|content|spoof\w*|dns|proxy|open relay)\b"
)
UNWANTED = (
    r"polic(y|ies)|prohibi|access denied|blocked|banned|black ?listed|\bspam\b|virus|content (rejected|"
    r"denied)|suspected"
)
LATER = either(
    r"\btry (again )?later|please retry|later on|internal error|system (config\w* )?error|essayer plus tard|"
    r"spater (erneut|noch)",
    r"service (is )?(currently |temporarily )?(unavailable|not available)|not accepting connections|"
    r"\btemporar(y|ily)\b",
)
NOT_FOR_NOW = either(
    near(_MAILBOX, r"\btempora\w+ (locked|inactive|suspended|disabled|unavailable|closed)"),
    near(_MAILBOX, r"\block(ed)?\b", r"\bprocess\b|\b(again|retry) later\b"),
)
CLOSED = either(
    near(_MAILBOX, r"\b(disabled|locked|closed|inactive|suspended|discontinued|deactivated|terminated|frozen|"
         r"archived|"
         r"blocked|"
         r"expired)\b"),
    r"(disabled|inactive|deactivated|expired|locked) (recipient|user|account|mailbox)|no longer (valid|on server|"
    r"accepts?|in use)|"
    r"has moved|has been replaced by|not (an )?active address|not active\b",
    near(r"compte|boite|cuenta|konto|postfach|ящик|учетн\w+", r"bloque|desactive|archivee|suspendid|gesperrt|"
         r"deaktiviert|"
         r"zablokowan|заблокирован|отключен"),
)
# Beside a code that says the same.
UNKNOWN_THERE = (
    r"\b(user|recipient|mailbox|address|account) ((is|was) )?(unknown|not found|(does(n't| not)|not) exist)\b|"
    r"\b(unknown|no such) (user|recipient|mailbox|address|account)\b"
)
NO_DOMAIN = r"null ?mx|unrouteable|no such domain|\bdomain (does(n't| not) exist|not found|unknown)|unknown domain\b"
NO_MAILBOX = either(
    r"no such (user|mailbox|recipient|account|address|person|id)|doesn't have an? \S+ account|not our customer|"
    r"unallocated",
    r"not a (valid|known|local) (recipient|mailbox|user|address)|(unknown|invalid) (user|recipient|mailbox|"
    r"local|address)\b",
    near(r"\b(user|recipient|mailbox|address|account|addressee)\b", r"\b(unknown|not (be )?(found|exist|known|valid)|"
         r"does(n't| not) exist|invalid|inactive|not exist)\b", within=30),
    r"(no|invalid) (mailbox|account|user|recipient) (here|by that|with that|found)|not in (my )?(recipient|"
    r"validrcptto) list",
    near(r"benutzer|empfa?e?nger\w*|adress(e|at)|teilnehmer|nutzer|postfach|mailbox", r"unbekannt|"
         r"existiert nicht|nicht (gefunden|vorhanden|"
         r"bekannt|existent)"), r"unbekannter? (benutzer|empfa?e?nger|adresse)",
    near(r"destinataire|utilisateur|adresse|boite", r"inconnue?|invalide|inexistante?|n'existe pas"),
    near(r"usuario|buzon|destinatario|direccion|cuenta", r"no existe|desconocid|inexistente|no (es )?valid|"
         r"no encontrad"),
    near(r"utente|destinatario|casella|indirizzo", r"sconosciut|inesistente|non esist|non valid|non trovat"),
    near(r"usuario|destinatario|caixa|endereco|utilizador", r"nao existe|desconhecid|nao encontrad"),
    near(r"gebruiker|ontvanger|postbus|adres", r"onbekend|bestaat niet"),
    near(r"anvandar\w*|mottagar\w*|bruger\w*|modtager\w*|bruker\w*|mottaker\w*|adresse\w*",
         r"finns inte|okand|(findes|finnes|eksisterer) ikke|ukendt|ukjent"),
    r"\b(okand|ukendt|ukjent) (anvandar|mottag|bruger|"
         r"modtag|bruker|mottak|adress)|tuntematon (vastaanottaja|kayttaja)",
    near(r"uzivatel|prijemce|adresat|kullanici|felhasznalo|cimzett",
         r"neexistuje|neznam\w*|nieznan\w*|bulunamadi|yok\b|ismeretlen|nem letezik"),
    near(r"u[zż]ytkownik|odbiorc\w+|adres\w*|skrzynk\w+|konto", r"nie istnieje|nieznan"), r"nessun utente|"
         r"no existe dicha|nie ma takiego",
    near(r"пользовател\w*|получател\w*|ящик\w*|адрес\w*", r"не (наиден|существует)|неизвест"),
    r"(用户|收件人|邮箱|地址|帐号|账号).{0,8}不存在|查无此人|(宛先|ユーザ\w*|アドレス).{0,15}(存在しません|見つかりません|不明)",
)
# fmt: on
