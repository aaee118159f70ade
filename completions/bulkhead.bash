# bash completion for bulkhead(1). Needs nothing but bash 4; with bash-completion loaded, the command behind
# `bulkhead run` is completed by its own rules.

# The command's words that begin with $1 among the others, into COMPREPLY.
_bulkhead_words() {
  local current=$1
  shift
  mapfile -t COMPREPLY < <(compgen -W "$*" -- "$current")
}

# A mount is PATH[:MODE]. bash splits words at the colon (COMP_WORDBREAKS), so the mode is a word of its own.
_bulkhead_policy_value() {
  local option=$1 current=$2
  case $option in
    -p | --policy) mapfile -t COMPREPLY < <(compgen -f -- "$current") && compopt -o filenames 2>/dev/null ;;
    -P | --profile) _bulkhead_words "$current" "$(bulkhead policy profiles 2>/dev/null)" ;;
    -t | --tier) _bulkhead_words "$current" native ;;
    -m | --mount) mapfile -t COMPREPLY < <(compgen -f -- "$current") && compopt -o filenames 2>/dev/null ;;
    -e | --env) mapfile -t COMPREPLY < <(compgen -e -- "$current") ;;
    *) return 1 ;;
  esac
  return 0
}

_bulkhead() {
  COMPREPLY=()
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} i
  local policy_options='--policy --profile --no-profile --tier --mount --env --help'

  if ((COMP_CWORD == 1)); then
    _bulkhead_words "$current" run ps stop policy doctor version --help --version
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
          -p | --policy | -P | --profile | -t | --tier | -m | --mount | -e | --env)
            ((i++))
            # PATH : MODE and NAME = VALUE are three words each.
            if [[ ${COMP_WORDS[i + 1]-} == [:=] ]]; then ((i += 2)); fi
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
      if [[ $current == : && ${COMP_WORDS[COMP_CWORD - 2]} == @(-m|--mount) ]]; then
        COMPREPLY=(ro rw)
      elif [[ $previous == : && ${COMP_WORDS[COMP_CWORD - 3]} == @(-m|--mount) ]]; then
        _bulkhead_words "$current" ro rw
      elif _bulkhead_policy_value "$previous" "$current"; then
        return
      elif [[ $current == -* && $previous != -- ]]; then
        _bulkhead_words "$current" "$policy_options" --quiet --
      else
        mapfile -t COMPREPLY < <(compgen -c -- "$current" | sort -u)
      fi
      ;;
    ps) _bulkhead_words "$current" --json --quiet --help ;;
    stop)
      if [[ $current == -* ]]; then
        _bulkhead_words "$current" --all --help
      else
        _bulkhead_words "$current" "$(bulkhead ps --quiet 2>/dev/null)"
      fi
      ;;
    policy)
      if ((COMP_CWORD == 2)); then
        _bulkhead_words "$current" show check profiles --help
      elif [[ ${COMP_WORDS[2]} == check ]]; then
        mapfile -t COMPREPLY < <(compgen -f -- "$current") && compopt -o filenames 2>/dev/null
      elif [[ ${COMP_WORDS[2]} == show ]]; then
        if _bulkhead_policy_value "$previous" "$current"; then
          return
        elif [[ $current == -* ]]; then
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
