/* SPDX-License-Identifier: Apache-2.0
 *
 * completion: scripts that make shells complete commands and options, of the tables of both.
 */
#include "tercetctl.h"

#include <stdlib.h>
#include <string.h>

/* What a value is completed with. */
static const char *words_of(const struct cli_option *option)
{
    if (strcmp(option->name, "state") == 0)
        return "trying confirming cancelling confirmed cancelled";
    return strchr(option->value_name, '|') != NULL ? option->value_name : NULL;
}

static bool is_option(const struct cli_option *option, unsigned groups)
{
    return option->name != NULL && (option->group == 0 || (option->group & groups) != 0);
}

/* "a|b" as "a b". */
static void print_words(const char *words)
{
    for (; *words != '\0'; words++)
        putchar(*words == '|' ? ' ' : *words);
}

/* A text between single quotes, for any of the shells; without characters that zsh's lists know. */
static void print_plain(const char *text)
{
    for (; *text != '\0'; text++)
        putchar(strchr("'[]:\\", *text) != NULL ? ' ' : *text);
}

/* -- bash -------------------------------------------------------------------------------------- */

static void bash_values(const struct cli *cli)
{
    puts("  case $previous in");
    for (size_t i = 0; i < cli->option_count; i++) {
        const struct cli_option *option = &cli->options[i];
        if (option->name == NULL || option->value_name == NULL)
            continue;
        printf("    --%s", option->name);
        if (option->letter != 0)
            printf("|-%c", option->letter);
        if (words_of(option) != NULL) {
            fputs(") COMPREPLY=($(compgen -W '", stdout);
            print_words(words_of(option));
            puts("' -- \"$current\")); return ;;");
        } else if (strcmp(option->value_name, "FILE") == 0) {
            puts(") COMPREPLY=($(compgen -f -- \"$current\")); return ;;");
        } else {
            puts(") return ;;");
        }
    }
    puts("  esac");
}

/* The first word that is no option and no option's value. */
static void bash_command(const struct cli *cli)
{
    puts("  for ((i = 1; i < COMP_CWORD; i++)); do\n"
         "    case ${COMP_WORDS[i]} in");
    fputs("      -o", stdout);
    for (size_t i = 0; i < cli->option_count; i++)
        if (cli->options[i].name != NULL && cli->options[i].value_name != NULL)
            printf("|--%s", cli->options[i].name);
    puts(") ((i++)) ;;\n"
         "      -*) ;;\n"
         "      *) command=${COMP_WORDS[i]}; break ;;\n"
         "    esac\n"
         "  done");
}

static void bash_options(const struct cli *cli, unsigned groups)
{
    for (size_t i = 0; i < cli->option_count; i++)
        if (is_option(&cli->options[i], groups))
            printf(" --%s", cli->options[i].name);
}

static void print_bash(const struct cli *cli)
{
    puts("# bash completion for tercetctl\n"
         "_tercetctl() {\n"
         "  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]}\n"
         "  local command= words= i\n"
         "  COMPREPLY=()");
    bash_values(cli);
    bash_command(cli);
    fputs("  case $command in\n    '') words='", stdout);
    for (size_t i = 0; i < ctl_command_count; i++)
        printf("%s ", ctl_commands[i].name);
    bash_options(cli, 0);
    puts("' ;;");
    for (size_t i = 0; i < ctl_command_count; i++) {
        printf("    %s) words='", ctl_commands[i].name);
        bash_options(cli, ctl_commands[i].options);
        puts("' ;;");
    }
    puts("  esac\n"
         "  [ \"$command\" = completion ] && words=\"bash zsh fish $words\"\n"
         "  COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n"
         "}\n"
         "complete -F _tercetctl tercetctl");
}

/* -- zsh --------------------------------------------------------------------------------------- */

static void zsh_option(const struct cli_option *option)
{
    printf("    '--%s[", option->name);
    print_plain(option->help);
    putchar(']');
    if (option->value_name != NULL) {
        fputs(":", stdout);
        print_plain(option->value_name);
        if (words_of(option) != NULL) {
            fputs(":(", stdout);
            print_words(words_of(option));
            putchar(')');
        } else {
            fputs(strcmp(option->value_name, "FILE") == 0 ? ":_files" : ": ", stdout);
        }
    }
    puts("'");
}

static void print_zsh(const struct cli *cli)
{
    puts("#compdef tercetctl\n"
         "_tercetctl() {\n"
         "  local -a commands\n"
         "  commands=(");
    for (size_t i = 0; i < ctl_command_count; i++) {
        printf("    '%s:", ctl_commands[i].name);
        print_plain(ctl_commands[i].summary);
        puts("'");
    }
    puts("  )\n"
         "  local -a options\n"
         "  options=(");
    for (size_t i = 0; i < cli->option_count; i++)
        if (cli->options[i].name != NULL)
            zsh_option(&cli->options[i]);
    puts("  )\n"
         "  _arguments -C $options '1:command:->command' '*::argument:_default'\n"
         "  [ \"$state\" = command ] && _describe command commands\n"
         "}\n"
         "_tercetctl \"$@\"");
}

/* -- fish -------------------------------------------------------------------------------------- */

static void fish_option(const struct cli_option *option, const char *command)
{
    printf("complete -c tercetctl -l %s", option->name);
    if (option->letter != 0)
        printf(" -s %c", option->letter);
    if (command != NULL)
        printf(" -n '__fish_seen_subcommand_from %s'", command);
    if (option->value_name != NULL && words_of(option) != NULL) {
        fputs(" -x -a '", stdout);
        print_words(words_of(option));
        putchar('\'');
    } else if (option->value_name != NULL) {
        fputs(strcmp(option->value_name, "FILE") == 0 ? " -r -F" : " -x", stdout);
    }
    fputs(" -d '", stdout);
    print_plain(option->help);
    puts("'");
}

static void print_fish(const struct cli *cli)
{
    puts("# fish completion for tercetctl\n"
         "complete -c tercetctl -f");
    for (size_t i = 0; i < ctl_command_count; i++) {
        const struct command *command = &ctl_commands[i];
        printf("complete -c tercetctl -n __fish_use_subcommand -a %s -d '", command->name);
        print_plain(command->summary);
        puts("'");
        for (size_t k = 0; k < cli->option_count; k++)
            if (cli->options[k].name != NULL && (cli->options[k].group & command->options) != 0)
                fish_option(&cli->options[k], command->name);
    }
    for (size_t i = 0; i < cli->option_count; i++)
        if (cli->options[i].name != NULL && cli->options[i].group == 0)
            fish_option(&cli->options[i], NULL);
}

int command_completion(struct ctl *ctl)
{
    static const struct {
        const char *name;
        void (*print)(const struct cli *cli);
    } shells[] = {{"bash", print_bash}, {"zsh", print_zsh}, {"fish", print_fish}};
    const struct cli cli = ctl_cli();
    for (size_t i = 0; i < sizeof(shells) / sizeof(shells[0]); i++) {
        if (strcmp(shells[i].name, ctl->args[0]) != 0)
            continue;
        shells[i].print(&cli);
        return 0;
    }
    ctl_misuse("\"%s\": bash, zsh or fish is wanted", ctl->args[0]);
}
