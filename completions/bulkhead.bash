# bash completion for bulkhead(1). Needs nothing but bash 4; with bash-completion loaded, the command behind
# `bulkhead run` is completed by its own rules.

# The command's words that begin with $1 among the others, into COMPREPLY.
_bulkhead_words() {
  local current=$1
  shift
  mapfile -t COMPREPLY < <(compgen -W "$*" -- "$current")
}

# The sessions that are on record.
_bulkhead_records() {
  local record
  for record in "${XDG_STATE_HOME:-$HOME/.local/state}"/bulkhead/evidence/*.jsonl; do
    record=${record##*/}
    [[ $record == '*.jsonl' ]] || printf '%s\n' "${record%.jsonl}"
  done
}

# The reviews that are open.
_bulkhead_reviews() {
  local review
  for review in "${XDG_STATE_HOME:-$HOME/.local/state}"/bulkhead/reviews/*/; do
    review=${review%/}
    [[ $review == *'*' ]] || printf '%s\n' "${review##*/}"
  done
}

# The images that are unpacked.
_bulkhead_images() {
  local image
  for image in "${XDG_CACHE_HOME:-$HOME/.cache}"/bulkhead/images/*/; do
    image=${image%/}
    image=${image##*/}
    [[ $image == *[!0-9a-f]* ]] || printf '%s\n' "$image"
  done
}

# A mount is PATH[:MODE]. bash splits words at the colon (COMP_WORDBREAKS), so the mode is a word of its own.
_bulkhead_policy_value() {
  local option=$1 current=$2
  case $option in
    -p | --policy) mapfile -t COMPREPLY < <(compgen -f -- "$current") && compopt -o filenames 2>/dev/null ;;
    -P | --profile) _bulkhead_words "$current" "$(bulkhead policy profiles 2>/dev/null)" ;;
    -t | --tier) _bulkhead_words "$current" native gvisor vm ;;
    -m | --mount | -i | --image | --allow-secrets) mapfile -t COMPREPLY < <(compgen -f -- "$current") && compopt -o filenames 2>/dev/null ;;
    --publish) ;;
    -e | --env) mapfile -t COMPREPLY < <(compgen -e -- "$current") ;;
    *) return 1 ;;
  esac
  return 0
}

_bulkhead_templates() {
  bulkhead template list 2>/dev/null | tail -n +2 | cut -d' ' -f1
}

_bulkhead() {
  COMPREPLY=()
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} i
  local policy_options='--policy --profile --no-profile --tier --image --mount --env --publish --allow-secrets --help'

  if ((COMP_CWORD == 1)); then
    _bulkhead_words "$current" run start template claim exec cp mcp ps stop revoke reload trust diff apply discard handoff restore image policy doctor version --help --version
    return
  fi

  case ${COMP_WORDS[1]} in
    run)
      # Where does the workload's own command begin?
      for ((i = 2; i < COMP_CWORD; i++)); do
        case ${COMP_WORDS[i]} in
          --)
            ((i++))
            break
            ;;
          -p | --policy | -P | --profile | -t | --tier | -i | --image | --template | -m | --mount | -e | --env | --publish | --allow-secrets)
            ((i++))
            # PATH : MODE, NAME = VALUE and PORT : INSIDE are three words each, ADDRESS : PORT : INSIDE five.
            while [[ ${COMP_WORDS[i + 1]-} == [:=] ]]; do ((i += 2)); done
            ;;
          -*) ;;
          *) break ;;
        esac
      done
      if ((i < COMP_CWORD)); then
        if declare -F _command_offset >/dev/null; then
          _command_offset "$i"
        else
          mapfile -t COMPREPLY < <(compgen -f -- "$current") && compopt -o filenames 2>/dev/null
        fi
        return
      fi
      if [[ $previous == --template ]]; then
        _bulkhead_words "$current" "$(_bulkhead_templates)"
      elif [[ $current == : && ${COMP_WORDS[COMP_CWORD - 2]} == @(-m|--mount) ]]; then
        COMPREPLY=(ro rw protect rw-no-delete review)
      elif [[ $previous == : && ${COMP_WORDS[COMP_CWORD - 3]} == @(-m|--mount) ]]; then
        _bulkhead_words "$current" ro rw protect rw-no-delete review
      elif _bulkhead_policy_value "$previous" "$current"; then
        return
      elif [[ $current == -* && $previous != -- ]]; then
        _bulkhead_words "$current" "$policy_options" --template --ask --quiet --
      else
        mapfile -t COMPREPLY < <(compgen -c -- "$current" | sort -u)
      fi
      ;;
    start)
      if [[ $previous == --template ]]; then
        _bulkhead_words "$current" "$(_bulkhead_templates)"
      elif _bulkhead_policy_value "$previous" "$current"; then
        return
      elif [[ $previous != -l && $previous != --label ]]; then
        _bulkhead_words "$current" "$policy_options" --template --label --quiet --json --until-closed
      fi
      ;;
    template)
      if ((COMP_CWORD == 2)); then
        _bulkhead_words "$current" create list rm --help
      elif [[ ${COMP_WORDS[2]} == list ]]; then
        _bulkhead_words "$current" --json --help
      elif [[ ${COMP_WORDS[2]} == rm ]]; then
        if [[ $current == -* ]]; then
          _bulkhead_words "$current" --help
        else
          _bulkhead_words "$current" "$(_bulkhead_templates)"
        fi
      elif ! _bulkhead_policy_value "$previous" "$current" && [[ $current == -* ]]; then
        _bulkhead_words "$current" "$policy_options" --quiet
      fi
      ;;
    exec)
      if [[ $current == -* ]]; then
        _bulkhead_words "$current" --dir --env --json --max-output --help --
      elif [[ $previous == -e || $previous == --env ]]; then
        _bulkhead_policy_value "$previous" "$current"
      else
        _bulkhead_words "$current" "$(bulkhead ps --quiet 2>/dev/null)"
      fi
      ;;
    mcp)
      case $previous in
        --session) mapfile -t COMPREPLY < <(compgen -W "$(bulkhead ps --quiet 2>/dev/null)" -- "$current") ;;
        --socket) mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
        *) _bulkhead_words "$current" --session --socket --tier --policy --profile --mount --env --help ;;
      esac
      ;;
    cp)
      if [[ $current == -* ]]; then
        _bulkhead_words "$current" --json --max-size --help
      else
        mapfile -t COMPREPLY < <(compgen -f -- "$current"; compgen -S : -W "$(bulkhead ps --quiet 2>/dev/null)" -- "$current")
        compopt -o nospace 2>/dev/null
      fi
      ;;
    claim) _bulkhead_words "$current" --label --json --help ;;
    ps) _bulkhead_words "$current" --json --quiet --label --help ;;
    stop)
      if [[ $current == -* ]]; then
        _bulkhead_words "$current" --all --help
      else
        _bulkhead_words "$current" "$(bulkhead ps --quiet 2>/dev/null)"
      fi
      ;;
    revoke)
      if [[ $current == -* ]]; then
        _bulkhead_words "$current" --grant --credential --json --help
      elif ((COMP_CWORD == 2)); then
        _bulkhead_words "$current" "$(bulkhead ps --quiet 2>/dev/null)"
      fi
      ;;
    reload)
      if [[ $previous == -p || $previous == --policy ]]; then
        _bulkhead_policy_value "$previous" "$current"
      elif [[ $current == -* ]]; then
        _bulkhead_words "$current" --policy --yes --json --help
      else
        _bulkhead_words "$current" "$(bulkhead ps --quiet 2>/dev/null)"
      fi
      ;;
    trust)
      if [[ $current == -* ]]; then
        _bulkhead_words "$current" --yes --show --full --all --list --revoke --json --help
      else
        mapfile -t COMPREPLY < <(compgen -d -- "$current") && compopt -o filenames 2>/dev/null
      fi
      ;;
    diff | apply | discard | handoff)
      if [[ $current == -* ]]; then
        case ${COMP_WORDS[1]} in
          diff) _bulkhead_words "$current" --stat --list --json --help ;;
          apply) _bulkhead_words "$current" --no-deletes --skip-conflicts --yes-to --json --help ;;
          handoff) _bulkhead_words "$current" --yes-to --full --each --json --help ;;
          discard) _bulkhead_words "$current" --yes --help ;;
        esac
      else
        _bulkhead_words "$current" "$(_bulkhead_reviews)"
        [[ ${COMP_WORDS[1]} == discard ]] || mapfile -t -O "${#COMPREPLY[@]}" COMPREPLY < <(compgen -f -- "$current")
        compopt -o filenames 2>/dev/null
      fi
      ;;
    restore)
      if [[ $current == -* ]]; then
        _bulkhead_words "$current" --all --list --forget --older-than --json --help
      else
        mapfile -t COMPREPLY < <(compgen -f -- "$current") && compopt -o filenames 2>/dev/null
      fi
      ;;
    image)
      if ((COMP_CWORD == 2)); then
        _bulkhead_words "$current" list rm --help
      elif [[ ${COMP_WORDS[2]} == list ]]; then
        _bulkhead_words "$current" --json --help
      elif [[ $current == -* ]]; then
        _bulkhead_words "$current" --older-than --help
      elif [[ $previous != --older-than ]]; then
        _bulkhead_words "$current" "$(_bulkhead_images)"
      fi
      ;;
    policy)
      if ((COMP_CWORD == 2)); then
        _bulkhead_words "$current" show check explain init replay presets profiles --help
      elif [[ ${COMP_WORDS[2]} == check ]]; then
        if [[ $current == -* ]]; then
          _bulkhead_words "$current" --managed --strict --json --help
        else
          mapfile -t COMPREPLY < <(compgen -f -- "$current") && compopt -o filenames 2>/dev/null
        fi
      elif [[ ${COMP_WORDS[2]} == @(init|replay) ]]; then
        if [[ $previous == @(-o|--output|-p|--policy) ]]; then
          mapfile -t COMPREPLY < <(compgen -f -- "$current") && compopt -o filenames 2>/dev/null
        elif [[ ${COMP_WORDS[2]} == init ]]; then
          if [[ $previous == --from ]]; then
            _bulkhead_words "$current" last "$(_bulkhead_records)"
          else
            _bulkhead_words "$current" --from --policy --output --help
          fi
        elif [[ $previous == @(-P|--profile) ]]; then
          _bulkhead_words "$current" "$(bulkhead policy profiles 2>/dev/null)"
        elif [[ $current == -* ]]; then
          _bulkhead_words "$current" --policy --profile --no-profile --json --help
        else
          _bulkhead_words "$current" last "$(_bulkhead_records)"
        fi
      elif [[ ${COMP_WORDS[2]} == @(show|explain) ]]; then
        if _bulkhead_policy_value "$previous" "$current"; then
          return
        elif [[ $current == -* ]]; then
          policy_options+=' --json'
          [[ ${COMP_WORDS[2]} == show ]] && policy_options+=' --reach'
          _bulkhead_words "$current" "$policy_options"
        else
          mapfile -t COMPREPLY < <(compgen -c -- "$current" | sort -u)
        fi
      fi
      ;;
    doctor) _bulkhead_words "$current" --json --verbose --help ;;
  esac
}

complete -F _bulkhead bulkhead
