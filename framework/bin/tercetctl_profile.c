/* SPDX-License-Identifier: Apache-2.0
 *
 * Where the coordinator is and with which token it is asked, when the command line does not say it:
 * the environment, then a profile, a file of options.
 */
#include "tercetctl.h"

#include "cli_sources.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Those that tercetd has, too, under the same names but for another end, are left out. */
static const char *const variables[] = {"coordinator", "token-file"};

static struct cli_strings strings; /* the options point into it until the end */
static struct cli known;           /* for the command config */

static void set_from_environment(struct cli *cli)
{
    for (size_t i = 0; i < sizeof(variables) / sizeof(variables[0]); i++) {
        static char names[sizeof(variables) / sizeof(variables[0])][64];
        const struct cli_option *option = cli_find(cli, variables[i]);
        cli_variable_of(names[i], "TERCET_", option);
        const char *value = getenv(names[i]);
        if (value != NULL && value[0] != '\0' && !cli_is_given(cli, option))
            cli_set(cli, option, value, names[i]);
    }
}

/* NAME is a file when it has a slash, else one of the user's profiles. NULL: nobody knows where. */
static char *path_of(const char *name)
{
    const char *config = getenv("XDG_CONFIG_HOME");
    const char *home = getenv("HOME");
    if (strchr(name, '/') != NULL)
        return ctl_format("%s", name);
    if (config != NULL && config[0] == '/')
        return ctl_format("%s/tercet/%s.yaml", config, name);
    return home != NULL && home[0] == '/' ? ctl_format("%s/.config/tercet/%s.yaml", home, name)
                                          : NULL;
}

static void read_file(struct cli *cli, const struct ctl *ctl)
{
    char text[CLI_TEXT_MAX];
    const char *variable = getenv("TERCET_PROFILE");
    const char *name = ctl->profile;
    if (name == NULL && variable != NULL && variable[0] != '\0')
        name = variable;
    char *path = path_of(name != NULL ? name : "profile");
    if (path == NULL && name != NULL)
        ctl_misuse("--profile %s: where is it, without HOME? Give its path", name);
    if (path == NULL || (name == NULL && access(path, F_OK) != 0)) {
        free(path);
        return; /* nobody asked for it */
    }
    if (cli_read_file(cli, path, &strings, text) != 0)
        ctl_misuse("%s", text);
    free(path);
}

/* A token is as good as a password. */
static void warn_of_token(const struct ctl *ctl)
{
    struct stat status;
    if (ctl->token_file == NULL || stat(ctl->token_file, &status) != 0)
        return;
    if (S_ISREG(status.st_mode) && (status.st_mode & (S_IROTH | S_IWOTH)) != 0)
        term_complain("warning: everybody on this machine can read the token in %s: chmod 600",
                      ctl->token_file);
}

void profile_read(struct cli *cli, struct ctl *ctl)
{
    const char *needed = NULL;
    if (ctl->wants_help || ctl->wants_version)
        return;
    set_from_environment(cli);
    const char *token = getenv("TERCET_TOKEN");
    const bool has_token = token != NULL && token[0] != '\0' && ctl->token_file == NULL;
    read_file(cli, ctl);
    if (has_token)
        ctl->token_file = NULL; /* the environment counts more than a profile */
    const struct cli_option *option = cli_check_needs(cli, &needed);
    if (option != NULL)
        ctl_misuse("--%s needs --%s, too; see tercetctl --help", option->name, needed);
    warn_of_token(ctl);
    known = *cli;
}

int command_config(struct ctl *ctl)
{
    const char *token = getenv("TERCET_TOKEN");
    cli_print_values(&known, known.origins);
    if (ctl->token_file == NULL && token != NULL && token[0] != '\0')
        puts("# the token is that in TERCET_TOKEN");
    return 0;
}
