# fish completion for muster(1). The command itself knows what may stand where.

function __muster_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    for word in ($words[1] __complete $words[2..] "$current" 2>/dev/null)
        if test $word = :files
            set -l option (string match -r -- '^--[^=]*=' $current)
            for path in (complete -C "'' "(string replace -r -- '^--[^=]*=' '' $current))
                echo "$option$path"
            end
        else
            echo $word
        end
    end
end

complete -c muster -f -a '(__muster_complete)'
